//! Numbers that are wide inside and truncated on the wire (PROTOCOL 0).

/// The number nearest to `near` whose lowest `bits` (1..=32) are `low`; never below 0.
pub fn expand(low: u32, bits: u32, near: u64) -> u64 {
    let span = 1u64 << bits;
    let base = (near & !(span - 1)) | (u64::from(low) & (span - 1));
    if base > near && base - near > span / 2 && base >= span {
        base - span
    } else if base < near && near - base > span / 2 {
        base.saturating_add(span)
    } else {
        base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest() {
        assert_eq!(expand(5, 16, 0), 5);
        assert_eq!(expand(0xFFFF, 16, 3), 0xFFFF); // nothing lies below 0
        assert_eq!(expand(0xFFFF, 16, 0x1_0003), 0xFFFF);
        assert_eq!(expand(2, 16, 0xFFFE), 0x1_0002);
        for near in [0u64, 1, 40_000, 65_535, 65_536, 1 << 40] {
            for delta in -32_000i64..32_000 {
                if let Some(n) = near.checked_add_signed(delta) {
                    assert_eq!(expand(n as u32 & 0xFFFF, 16, near), n);
                }
            }
        }
    }
}
