//! Who is connected: bounds the connections in all and of one address.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

/// Counts connections.
pub(crate) struct Guests {
    total_max: usize,
    each_max: usize,
    now: Mutex<Count>,
}

#[derive(Default)]
struct Count {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One admitted connection; dropping it makes room.
pub(crate) struct Guest {
    guests: Arc<Guests>,
    address: IpAddr,
}

/// Why a connection is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The listener is full.
    Full,
    /// This address holds too many.
    Address,
}

impl Guests {
    pub(crate) fn new(total_max: usize, each_max: usize) -> Arc<Self> {
        Arc::new(Self {
            total_max,
            each_max,
            now: Mutex::default(),
        })
    }

    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Guest, Refusal> {
        // An IPv6 host usually owns a /64: counting single addresses would bound nothing.
        let address = group(address);
        let mut now = self.now.lock();
        if now.total >= self.total_max {
            return Err(Refusal::Full);
        }
        let each = now.by_address.entry(address).or_default();
        if *each >= self.each_max {
            return Err(Refusal::Address);
        }
        *each += 1;
        now.total += 1;
        Ok(Guest {
            guests: Arc::clone(self),
            address,
        })
    }
}

fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut now = self.guests.now.lock();
        now.total -= 1;
        if let Some(each) = now.by_address.get_mut(&self.address) {
            *each -= 1;
            if *each == 0 {
                now.by_address.remove(&self.address);
            }
        }
    }
}

impl Refusal {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Full => "connections_total",
            Self::Address => "connections_per_address",
        }
    }

    /// A whole HTTP/1.1 answer with a problem document (RFC 9457).
    pub(super) fn answer(self) -> String {
        let (status, title) = match self {
            Self::Full => ("503 Service Unavailable", "too many connections"),
            Self::Address => (
                "429 Too Many Requests",
                "too many connections from this address",
            ),
        };
        let body = format!(
            r#"{{"type":"about:blank","title":"{title}","status":{},"code":"{}"}}"#,
            &status[..3],
            self.reason()
        );
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\nretry-after: 5\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_in_all_and_of_one_address_and_makes_room_again() {
        let guests = Guests::new(3, 2);
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = guests.admit(a).ok();
        let _second = guests.admit(a).ok();
        assert_eq!(guests.admit(a).err(), Some(Refusal::Address));
        let _third = guests.admit(b).ok();
        assert_eq!(guests.admit(b).err(), Some(Refusal::Full));
        drop(first);
        assert!(guests.admit(a).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let guests = Guests::new(9, 1);
        let _one = guests.admit("2001:db8::1".parse().unwrap()).ok();
        let other = guests.admit("2001:db8::2".parse().unwrap());
        assert_eq!(other.err(), Some(Refusal::Address));
    }
}
