//! A caller's buffer, addressed by stream offset.

/// Bytes `offset % len` of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Ring<B>(B);

impl<B: AsRef<[u8]> + AsMut<[u8]>> Ring<B> {
    /// # Panics
    /// When the buffer is empty or longer than 4 MiB (a quarter of the offsets on the wire).
    pub(crate) fn new(buffer: B) -> Self {
        let len = buffer.as_ref().len();
        assert!(len > 0 && len <= 1 << 22, "a stream buffer has 1 byte to 4 MiB");
        Ring(buffer)
    }
    pub(crate) fn capacity(&self) -> u64 {
        self.0.as_ref().len() as u64
    }
    pub(crate) fn put(&mut self, offset: u64, bytes: &[u8]) {
        let at = (offset % self.capacity()) as usize;
        let buffer = self.0.as_mut();
        let first = bytes.len().min(buffer.len() - at);
        buffer[at..at + first].copy_from_slice(&bytes[..first]);
        buffer[..bytes.len() - first].copy_from_slice(&bytes[first..]);
    }
    pub(crate) fn get(&self, offset: u64, out: &mut [u8]) {
        let at = (offset % self.capacity()) as usize;
        let buffer = self.0.as_ref();
        let first = out.len().min(buffer.len() - at);
        out[..first].copy_from_slice(&buffer[at..at + first]);
        let rest = out.len() - first;
        out[first..].copy_from_slice(&buffer[..rest]);
    }
}

#[cfg(feature = "explore")]
impl<B: AsRef<[u8]> + AsMut<[u8]>> crate::explore::Digested for Ring<B> {
    fn digest(&self, to: &mut crate::explore::Digest) {
        let Ring(bytes) = self;
        to.add(bytes.as_ref());
    }
}
