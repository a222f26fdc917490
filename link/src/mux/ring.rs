//! A caller's buffer, addressed by stream offset.

/// Longest buffer: a quarter of the offsets on the wire.
const RING_MAX: usize = 1 << 22;

/// Bytes `offset % len` of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Ring<B>(B);

impl<B: AsRef<[u8]> + AsMut<[u8]>> Ring<B> {
    /// # Panics
    /// When the buffer is empty or longer than [`RING_MAX`].
    pub(crate) fn new(buffer: B) -> Self {
        let len = buffer.as_ref().len();
        assert!(len > 0 && len <= RING_MAX, "a stream buffer has 1 byte to 4 MiB");
        Ring(buffer)
    }
    pub(crate) fn capacity(&self) -> u64 {
        self.0.as_ref().len() as u64
    }
    /// Puts a longer buffer in the place of the one there is, with the bytes `from..to` in it, and hands the old one back. One that
    /// is no longer, or above 4 MiB, is handed back itself.
    pub(crate) fn widen(&mut self, buffer: B, from: u64, to: u64) -> B {
        let len = buffer.as_ref().len();
        if len as u64 <= self.capacity() || len > RING_MAX {
            return buffer;
        }
        let old = core::mem::replace(&mut self.0, buffer);
        let (was, new) = (old.as_ref(), self.0.as_mut());
        let mut at = from;
        while at < to {
            let (here, there) = ((at % was.len() as u64) as usize, (at % len as u64) as usize);
            // as much as stands in one piece in both
            let n = (was.len() - here).min(len - there).min((to - at) as usize);
            new[there..there + n].copy_from_slice(&was[here..here + n]);
            at += n as u64;
        }
        old
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
