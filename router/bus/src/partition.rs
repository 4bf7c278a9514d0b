//! Which partition a key belongs to. Fixed at install: changing it would break order per key.

/// Names the hash in the store; a process with another one refuses to start.
pub const HASH_NAME: &str = "fnv1a64";

/// The partition of a key among `n`: FNV-1a, 64 bits, folded, modulo `n`.
///
/// # Panics
/// If `n` is zero.
#[must_use]
pub fn partition_of(key: &str, n: u16) -> u16 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let folded = (hash >> 32) ^ (hash & 0xffff_ffff);
    u16::try_from(folded % u64::from(n)).expect("a remainder of a u16 fits one")
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    #[test]
    fn stays_as_it_was_at_install() {
        let found: Vec<u16> = ["", "web:a", "web:b", "客户:1"]
            .iter()
            .map(|key| partition_of(key, 16))
            .collect();
        assert_eq!(found, FIXED);
    }

    const FIXED: [u16; 4] = [1, 14, 7, 7];
}
