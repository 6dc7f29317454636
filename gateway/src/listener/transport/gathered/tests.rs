use std::collections::VecDeque;

use futures_util::task::noop_waker;
use proptest::prelude::*;

use super::*;

/// Takes as many bytes at a time as it is told, waits where that is none, and keeps what it took.
#[derive(Debug, Default)]
struct Wire {
    appetite: VecDeque<usize>,
    calls: usize,
    taken: Vec<u8>,
}

impl AsyncRead for &mut Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for &mut Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.calls += 1;
        let most = self.appetite.pop_front().unwrap_or(usize::MAX);
        if most == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let bytes = pieces.iter().flat_map(|piece| piece.iter().copied()).take(most);
        let before = self.taken.len();
        self.taken.extend(bytes);
        Poll::Ready(Ok(self.taken.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

proptest! {
    #[test]
    fn what_is_written_is_sent_once_and_in_order(
        lengths in proptest::collection::vec(0_usize..6000, 0..12),
        flushes in proptest::collection::vec(any::<bool>(), 12),
        appetite in proptest::collection::vec(prop_oneof![Just(0_usize), 1_usize..5000], 0..40),
    ) {
        let mut wire = Wire { appetite: appetite.into(), ..Wire::default() };
        let mut expected = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut stream = Gathered::new(&mut wire);
            for (number, (length, flush)) in (1_u8..).zip(lengths.iter().zip(&flushes)) {
                let bytes = vec![number; *length];
                expected.extend_from_slice(&bytes);
                stream.write_all(&bytes).await.unwrap();
                if *flush {
                    stream.flush().await.unwrap();
                    assert_eq!((stream.waiting.len(), stream.waiting.capacity()), (0, 0));
                }
            }
            stream.shutdown().await.unwrap();
        });
        prop_assert_eq!(&wire.taken, &expected);
    }
}

#[tokio::test]
async fn a_head_and_its_body_leave_together() {
    for body in [100, 100_000] {
        let mut wire = Wire::default();
        let mut stream = Gathered::new(&mut wire);
        stream.write_all(b"head").await.unwrap();
        stream.write_all(&vec![0; body]).await.unwrap();
        stream.flush().await.unwrap();
        drop(stream);
        assert_eq!((wire.taken.len(), wire.calls), (4 + body, 1));
    }
}

#[test]
fn nothing_waits_while_more_is_read() {
    let mut wire = Wire::default();
    let mut stream = Gathered::new(&mut wire);
    assert_eq!(stream.write(b"head").now_or_never().unwrap().unwrap(), 4);
    assert!(stream.waiting.len() == 4, "it may go with what comes next");
    let waker = noop_waker();
    let (mut buffer, mut cx) = ([0; 1], Context::from_waker(&waker));
    assert!(Pin::new(&mut stream).poll_read(&mut cx, &mut ReadBuf::new(&mut buffer)).is_pending());
    assert_eq!(stream.get_ref().taken, b"head");
}

#[test]
fn what_breaks_off_is_sent_as_far_as_it_came() {
    let mut wire = Wire::default();
    let mut stream = Gathered::new(&mut wire);
    assert!(stream.write(b"head").now_or_never().unwrap().is_ok());
    drop(stream);
    assert_eq!(wire.taken, b"head");
}
