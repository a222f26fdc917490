//! Where a process reads what it sends.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::plan::Draw;

/// Memory of a process that sleeps: it can be read like a file, and behind its end reading fails with EIO.
#[derive(Debug)]
pub struct Failing {
    sleeper: Child,
    content: Vec<u8>,
    end: u64,
}

/// Most bytes of one variable of an environment (MAX_ARG_STRLEN of Linux, less its name).
const MOST: u64 = 131_000;

impl Failing {
    /// One that gives so many bytes first, up to 131000: lines of text, and what is behind them.
    pub fn new(bytes: u64, draw: &mut Draw) -> io::Result<Failing> {
        let text: String =
            (0..bytes.min(MOST)).map(|i| if i % 61 == 60 { '\n' } else { (b'a' + draw.below(26) as u8) as char }).collect();
        let mut sleeper = Command::new("sleep");
        // the environment is at the end of the stack, and that at the end of what can be read
        sleeper.arg("600").env_clear().env("TEXT", text).stdin(Stdio::null()).stdout(Stdio::null());
        let mut failing = Failing { sleeper: sleeper.spawn()?, content: vec![0; bytes.min(MOST) as usize], end: 0 };
        failing.find()?;
        Ok(failing)
    }
    fn find(&mut self) -> io::Result<()> {
        // right after the start it is not 'sleep' yet
        for _ in 0..5000 {
            let of = |what: &str| format!("/proc/{}/{what}", self.sleeper.id());
            let sleeps = fs::read_to_string(of("comm")).is_ok_and(|name| name.trim() == "sleep");
            let maps = fs::read_to_string(of("maps")).unwrap_or_default();
            let stack = maps.lines().find(|line| line.ends_with("[stack]")).and_then(|line| line.split(' ').next());
            let end = stack.and_then(|range| u64::from_str_radix(range.split_once('-')?.1, 16).ok());
            if let Some(end) = end.filter(|_| sleeps) {
                self.end = end;
                let start = end - self.content.len() as u64;
                return File::open(of("mem"))?.read_exact_at(&mut self.content, start);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(io::Error::other("sleep does not sleep"))
    }
    /// What is read before the error.
    pub fn content(&self) -> &[u8] {
        &self.content
    }
    /// To be read to its end and the error.
    pub fn open(&self) -> io::Result<File> {
        let mut memory = File::open(format!("/proc/{}/mem", self.sleeper.id()))?;
        memory.seek(SeekFrom::Start(self.end - self.content.len() as u64))?;
        Ok(memory)
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let _ = self.sleeper.kill();
        let _ = self.sleeper.wait();
    }
}

/// Writes in pieces, with pauses, until all is written or nobody reads any more.
pub fn trickle(content: Vec<u8>, mut to: impl Write + Send + 'static, mut draw: Draw) {
    std::thread::spawn(move || {
        let mut rest = &content[..];
        while !rest.is_empty() {
            let n = (1 + draw.scaled(1, 30_000) as usize).min(rest.len());
            if to.write_all(&rest[..n]).is_err() {
                return;
            }
            rest = &rest[n..];
            std::thread::sleep(draw.time(1, 120));
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn reading_fails_behind_the_content() {
        let failing = Failing::new(5000, &mut Draw::new(1)).unwrap();
        let (mut file, mut came) = (failing.open().unwrap(), Vec::new());
        let error = file.read_to_end(&mut came).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::EIO as i32));
        assert!(came == failing.content() && came.len() == 5000);
        assert!(came.iter().filter(|&&b| b == b'\n').count() > 70, "it is text");
    }
}
