//! The API behind the gateway: it lets everybody log in, and answers every other request with the user that the
//! gateway names; one with a body gets as much back.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::lean::{self, Line};

/// What long answers are made of.
static PIECE: [u8; 64 * 1024] = [b'.'; 64 * 1024];

/// Starts it on a free port.
///
/// # Errors
/// If there is none.
pub async fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream) -> Option<()> {
    let mut line = Line::of(stream);
    let mut answer = Vec::new();
    loop {
        let request = line.receive().await?;
        let is_login = request.head.starts_with(b"POST /login ");
        let body = if is_login { request.body } else { lean::value(request.head, b"x-user-id").unwrap_or_default() };
        let length = request.length.max(body.len());
        answer.clear();
        answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ");
        answer.extend_from_slice(length.to_string().as_bytes());
        answer.extend_from_slice(b"\r\n\r\n");
        answer.extend_from_slice(body);
        let mut missing = length - body.len();
        while missing > 0 {
            let piece = &PIECE[..missing.min(PIECE.len())];
            answer.extend_from_slice(piece);
            missing -= piece.len();
            if answer.len() >= PIECE.len() {
                line.send(&answer).await?;
                answer.clear();
            }
        }
        if !answer.is_empty() {
            line.send(&answer).await?;
        }
    }
}
