//! A receiver that finds its bytes by start and stop bits, and loses its place where these are hit, as a 16550 does.

/// Bits of a byte of which a receiver has some.
#[derive(Clone, Copy, Debug, Default)]
struct Partial {
    /// Data bits that came, 0..=8.
    bits: u32,
    byte: u8,
}

/// The receiver of one direction: 8N1, one sample per bit.
#[derive(Clone, Debug, Default)]
pub(super) struct Uart {
    /// None between two bytes.
    partial: Option<Partial>,
    /// Up to when it has heard the line, in ns.
    heard_ns: u64,
}

impl Uart {
    /// Bits of a byte on the wire: start, data (lowest first), stop.
    pub(super) const BITS: u32 = 10;

    fn length_ns(bits: u64, baud: u32) -> u64 {
        bits * 1_000_000_000 / u64::from(baud)
    }
    /// One bit of the line.
    fn hear(&mut self, level: bool, out: &mut impl FnMut(u8)) {
        match &mut self.partial {
            None if level => {}
            None => self.partial = Some(Partial::default()),
            Some(partial) if partial.bits < 8 => {
                partial.byte |= u8::from(level) << partial.bits;
                partial.bits += 1;
            }
            Some(partial) => {
                out(partial.byte);
                // a stop bit that is none is taken for the next start bit
                self.partial = (!level).then(Partial::default);
            }
        }
    }
    /// A byte that had left at `left_ns`, with the bits that were flipped on the way (the start bit lowest).
    pub(super) fn take(&mut self, byte: u8, flipped: u16, left_ns: u64, baud: u32, mut out: impl FnMut(u8)) {
        // a line at rest is high
        let silence = left_ns.saturating_sub(self.heard_ns + Uart::length_ns(u64::from(Uart::BITS), baud));
        let ones = u128::from(silence) * u128::from(baud) / 1_000_000_000;
        (0..ones.min(u128::from(Uart::BITS))).for_each(|_| self.hear(true, &mut out));
        let bits = (u16::from(byte) << 1 | 1 << 9) ^ flipped;
        (0..Uart::BITS).for_each(|bit| self.hear(bits >> bit & 1 == 1, &mut out));
        self.heard_ns = left_ns;
    }
    /// When a line that stays at rest has completed the byte it is in; none between two bytes.
    pub(super) fn due_ns(&self, baud: u32) -> Option<u64> {
        self.partial.map(|partial| self.heard_ns + Uart::length_ns(u64::from(9 - partial.bits), baud))
    }
    /// The line was at rest until then.
    pub(super) fn rest(&mut self, mut out: impl FnMut(u8)) {
        while self.partial.is_some() {
            self.hear(true, &mut out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAUD: u32 = 1_000_000;
    const BYTE_NS: u64 = 10_000;

    /// Bytes one behind the other, with the bits that are flipped in each.
    fn heard(bytes: &[(u8, u16)]) -> Vec<u8> {
        let (mut uart, mut out) = (Uart::default(), Vec::new());
        for (&(byte, flipped), left) in bytes.iter().zip((1..).map(|n| n * BYTE_NS)) {
            uart.take(byte, flipped, left, BAUD, |byte| out.push(byte));
        }
        uart.rest(|byte| out.push(byte));
        out
    }

    #[test]
    fn each_kind_of_bit_has_its_damage() {
        assert_eq!(heard(&[(0x00, 0), (0x55, 0), (0xFF, 0)]), [0x00, 0x55, 0xFF]);
        assert_eq!(heard(&[(0x55, 1 << 1), (0xFF, 0)]), [0x54, 0xFF], "a data bit: that byte");
        assert_eq!(heard(&[(0xFF, 1), (0x55, 0)]), [0x55], "the start bit of all ones: it is never seen");
        assert_eq!(heard(&[(0xF5, 1), (0x55, 0)]).len(), 2, "that of others: a later bit is taken for it");
        assert_ne!(heard(&[(0xF5, 1), (0x55, 0)])[0], 0xF5);
        let stop = heard(&[(0x41, 1 << 9), (0x42, 0)]);
        assert!(stop[0] == 0x41 && stop[1..] != [0x42], "the stop bit: those behind it: {stop:02x?}");
    }

    #[test]
    fn silence_brings_the_place_back() {
        let (mut uart, mut out) = (Uart::default(), Vec::new());
        uart.take(0x41, 1 << 9, BYTE_NS, BAUD, |byte| out.push(byte));
        assert_eq!(uart.due_ns(BAUD), Some(BYTE_NS + 9_000));
        uart.take(0x42, 0, 3 * BYTE_NS, BAUD, |byte| out.push(byte));
        assert_eq!((out, uart.due_ns(BAUD)), (vec![0x41, 0xFF, 0x42], None));
    }
}
