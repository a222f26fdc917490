//! What becomes of certain bytes: a terminal server or a driver that is not transparent.

/// Bytes that do not pass as they are.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    /// These arrive twice (0xFF of telnet).
    pub doubled: Vec<u8>,
    /// These never arrive (XON and XOFF).
    pub eaten: Vec<u8>,
}

impl Bytes {
    /// What arrives of a byte.
    pub(super) fn pass(&self, byte: u8, mut out: impl FnMut(u8)) {
        let times = if self.eaten.contains(&byte) { 0 } else { 1 + usize::from(self.doubled.contains(&byte)) };
        (0..times).for_each(|_| out(byte));
    }
}
