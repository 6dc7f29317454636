//! Numbers and addresses as text, without the machinery that formatting needs for everything else. It relies on
//! nothing and is meant for what is written for every request.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The most digits of a `u64`.
const MOST: usize = 20;

/// Appends `number`.
pub(crate) fn push(to: &mut Vec<u8>, number: u64) {
    let mut digits = [b'0'; MOST];
    let mut at = MOST;
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

/// Appends the last `width` digits of `number`, zeros before it included.
pub(crate) fn push_padded(to: &mut Vec<u8>, number: u64, width: usize) {
    let from = to.len();
    to.resize(from + width, b'0');
    let mut rest = number;
    for digit in to[from..].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

/// Appends `address` as its `Display` does.
pub(crate) fn push_address(to: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            push_octet(to, a);
            for octet in [b, c, d] {
                to.push(b'.');
                push_octet(to, octet);
            }
        }
        IpAddr::V6(address) => write!(to, "{address}").expect("a Vec takes everything"),
    }
}

fn push_octet(to: &mut Vec<u8>, octet: u8) {
    if octet >= 100 {
        to.push(b'0' + octet / 100);
    }
    if octet >= 10 {
        to.push(b'0' + octet / 10 % 10);
    }
    to.push(b'0' + octet % 10);
}

/// Appends `server` as its `Display` does.
pub(crate) fn push_socket(to: &mut Vec<u8>, server: SocketAddr) {
    match server {
        SocketAddr::V4(server) => {
            push_address(to, (*server.ip()).into());
            to.push(b':');
            push(to, u64::from(server.port()));
        }
        SocketAddr::V6(server) => write!(to, "{server}").expect("a Vec takes everything"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_read_as_they_would_be_formatted() {
        let shown = |push: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            push(&mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        for number in [0, 7, 10, 99, 100, 12_345_678_909, u64::MAX] {
            assert_eq!(shown(&|to| super::push(to, number)), number.to_string());
        }
        assert_eq!(shown(&|to| push_padded(to, 42, 6)), "000042");
        assert_eq!(shown(&|to| push_padded(to, 1_234_567, 3)), "567");
        for address in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "2001:db8::1", "::ffff:192.0.2.1"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(shown(&|to| push_address(to, address)), address.to_string());
            let server = SocketAddr::new(address, 4711);
            assert_eq!(shown(&|to| push_socket(to, server)), server.to_string());
        }
    }
}
