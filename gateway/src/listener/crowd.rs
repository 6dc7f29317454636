//! How many clients a listener has, in all and from each address, and whether there is room for one more. A place is
//! held for as long as a connection lives. It closes nothing itself: who is idle is told when places run out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::config::Bounds;
use crate::limiter::address_prefix;
use crate::overload::{Capacity, Room, Taken};

/// Of so many tenths of all places taken, idle connections make room.
const TENTHS: usize = 9;

/// The clients of one listener.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    most: usize,
    most_of_one: usize,
    most_streams: u32,
    present: Arc<Mutex<Present>>,
    pressed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Present {
    all: usize,
    /// By address prefix; those who have left have no entry.
    by_address: HashMap<String, Neighbours>,
}

/// Who comes from one address.
#[derive(Debug, Default)]
struct Neighbours {
    connections: usize,
    streams: Taken,
}

/// Why there is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Address,
}

impl Full {
    /// Its name in metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }
}

/// Room for one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    address: Option<String>,
    streams: Option<Room>,
}

impl Place {
    /// Where requests of HTTP/2 find room, with those of the same address; none if that is not bounded.
    pub(super) fn streams(&self) -> Option<Room> {
        self.streams.clone()
    }
}

impl Crowd {
    /// Nobody yet.
    pub(super) fn new(bounds: &Bounds) -> Self {
        let Bounds { max_connections, connections_per_address, streams_per_address, .. } = *bounds;
        Self {
            most: max_connections,
            most_of_one: connections_per_address,
            most_streams: streams_per_address,
            present: Arc::default(),
            pressed: watch::Sender::new(false),
        }
    }

    /// Takes a place; `address` is whom it counts for, if for anybody.
    pub(super) fn enter(&self, address: Option<IpAddr>) -> Result<Place, Full> {
        let address = address.map(address_prefix);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.all >= self.most {
            return Err(Full::All);
        }
        let mut streams = None;
        if let Some(address) = &address {
            let neighbours = present.by_address.entry(address.clone()).or_default();
            if neighbours.connections >= self.most_of_one {
                return Err(Full::Address);
            }
            neighbours.connections += 1;
            streams = Some(Room::new(&neighbours.streams, Capacity::new(self.most_streams, 0)));
        }
        present.all += 1;
        self.look(present.all);
        Ok(Place { crowd: self.clone(), address, streams })
    }

    /// Waits until nearly all places are taken. Who is idle then makes room for who is not. Over HTTP/1.1 a place is free
    /// at once, and the first that go end the wait of the others; over HTTP/2 it is free once the client has closed,
    /// so that more may be told to go than would have had to.
    pub(super) async fn pressed(&self) {
        // It fails if nobody can tell any more, and `self` can.
        let _ = self.pressed.subscribe().wait_for(|pressed| *pressed).await;
    }

    fn leave(&self, address: Option<&str>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.all -= 1;
        if let Some(address) = address
            && let Some(neighbours) = present.by_address.get_mut(address)
        {
            neighbours.connections -= 1;
            if neighbours.connections == 0 {
                present.by_address.remove(address);
            }
        }
        self.look(present.all);
    }

    fn look(&self, all: usize) {
        let now = all * 10 > self.most * TENTHS;
        self.pressed.send_if_modified(|pressed| std::mem::replace(pressed, now) != now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.leave(self.address.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BodyPace;
    use crate::overload::Rank;
    use std::time::Duration;

    fn crowd(most: usize, most_of_one: usize) -> Crowd {
        let body = BodyPace { request_timeout: Duration::MAX, min_rate: 1, grace: Duration::MAX };
        Crowd::new(&Bounds {
            header_timeout: Duration::MAX,
            max_header_bytes: 1024,
            requests_per_connection: 1,
            body,
            max_connections: most,
            connections_per_address: most_of_one,
            streams_per_address: 2,
        })
    }

    #[test]
    fn all_connections_of_an_address_share_its_streams() {
        let crowd = crowd(4, 2);
        let enter = |address: &str| crowd.enter(Some(address.parse().unwrap())).unwrap();
        let (one, another, stranger) = (enter("192.0.2.1"), enter("192.0.2.1"), enter("192.0.2.2"));
        let room = |place: &Place| place.streams().unwrap().enter(Rank::Known);
        let (_first, _second) = (room(&one).unwrap(), room(&another).unwrap());
        assert!(room(&one).is_none() && room(&stranger).is_some());
        assert!(crowd.enter(None).unwrap().streams().is_none());
    }

    #[test]
    fn nobody_gets_more_places_than_there_are_or_than_one_may_have() {
        let one = Some("2001:db8::1".parse().unwrap());
        let neighbour = Some("2001:db8::2".parse().unwrap());
        let crowd = crowd(4, 2);
        let first = crowd.enter(one).unwrap();
        let _second = crowd.enter(neighbour).unwrap();
        assert_eq!(crowd.enter(one).unwrap_err(), Full::Address, "one subscriber is one address");
        drop(first);
        let _third = crowd.enter(one).unwrap();
        let _proxies = (crowd.enter(None).unwrap(), crowd.enter(None).unwrap());
        assert_eq!(crowd.enter(None).unwrap_err(), Full::All);
        assert_eq!(crowd.enter(Some("192.0.2.1".parse().unwrap())).unwrap_err(), Full::All);
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let crowd = crowd(4, 2);
        drop(crowd.enter(Some("192.0.2.1".parse().unwrap())).unwrap());
        assert!(crowd.present.lock().unwrap().by_address.is_empty());
    }

    #[tokio::test]
    async fn the_idle_are_told_when_places_run_out() {
        let crowd = crowd(10, 10);
        let pressed = || tokio::time::timeout(Duration::ZERO, crowd.pressed());
        let mut places: Vec<_> = (0..9).map(|_| crowd.enter(None).unwrap()).collect();
        assert!(pressed().await.is_err());
        places.push(crowd.enter(None).unwrap());
        assert!(pressed().await.is_ok());
        places.pop();
        assert!(pressed().await.is_err());
    }
}
