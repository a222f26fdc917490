//! Who reads, serves and connects in threads of our own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::flow::Gathered;
use super::plan::Draw;

/// How it went for a user of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// Not yet.
    #[default]
    No,
    /// By a clean end of file.
    Clean,
    /// By an error.
    Broken,
}

/// A user of a connection: what it heard, and how it ended.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// What came.
    pub came: Gathered,
    ended: Arc<Mutex<Ended>>,
}

/// A connection of either kind.
pub trait Connection: Read + Write + Send + Sized + 'static {
    /// The same connection once more.
    fn again(&self) -> io::Result<Self>;
    /// Nothing more is written.
    fn finish(&self) -> io::Result<()>;
}

impl Connection for TcpStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Connection for UnixStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl User {
    /// How it went.
    pub fn ended(&self) -> Ended {
        self.ended.lock().map_or(Ended::Broken, |ended| *ended)
    }
    fn end(&self, ended: Ended) {
        if let Ok(mut state) = self.ended.lock() {
            *state = ended;
        }
    }
    /// Reads to the end of file.
    fn gather(&self, from: &mut impl Read, mut pause: impl FnMut()) -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match from.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    let mut came = self.came.lock().map_err(|_| io::Error::other("a thread panicked"))?;
                    came.extend(&bytes[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            pause();
        }
    }
    /// Reads slowly, and once not at all for a while.
    pub fn read_slowly(&self, mut from: impl Read + Send + 'static, mut draw: Draw) {
        let user = self.clone();
        let mut stall = draw.below(10);
        std::thread::spawn(move || {
            let result = user.gather(&mut from, || {
                let long = stall == 0;
                stall = stall.wrapping_sub(1);
                std::thread::sleep(if long { draw.time(300, 2_500) } else { draw.time(1, 10) });
            });
            user.end(if result.is_ok() { Ended::Clean } else { Ended::Broken });
        });
    }
    /// Writes these bytes, ends its direction, and reads what comes back.
    fn ask(&self, stream: impl Connection, bytes: Vec<u8>) {
        let user = self.clone();
        std::thread::spawn(move || {
            let writer = stream
                .again()
                .map(|mut writer| std::thread::spawn(move || writer.write_all(&bytes).and_then(|()| writer.finish())));
            let mut stream = stream;
            let result = user.gather(&mut stream, || {});
            // a reset is told once, to the one or the other
            let written = writer.ok().and_then(|writer| writer.join().ok()).is_some_and(|written| written.is_ok());
            user.end(if result.is_ok() && written { Ended::Clean } else { Ended::Broken });
        });
    }
    /// Connects by TCP, and asks.
    pub fn ask_tcp(&self, address: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.ask(TcpStream::connect(address)?, bytes);
        Ok(())
    }
    /// Connects to a Unix socket, and asks.
    pub fn ask_unix(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.ask(UnixStream::connect(path)?, bytes);
        Ok(())
    }
    /// Takes one connection: reads to its end, and then gives all of it back.
    fn serve<C: Connection>(&self, accept: impl FnOnce() -> io::Result<C> + Send + 'static) {
        let user = self.clone();
        std::thread::spawn(move || {
            let result = accept().and_then(|mut stream| {
                user.gather(&mut stream, || {})?;
                user.end(Ended::Clean);
                let came = user.came.lock().map_or(Vec::new(), |came| came.clone());
                // whoever is gone by now has its own word for that
                let _ = stream.write_all(&came).and_then(|()| stream.finish());
                let _ = stream.read(&mut [0]);
                Ok(())
            });
            if result.is_err() {
                user.end(Ended::Broken);
            }
        });
    }
    /// Serves one TCP connection; returns the address.
    pub fn serve_tcp(&self) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        self.serve(move || listener.accept().map(|(stream, _)| stream));
        Ok(address)
    }
    /// Serves one connection to a Unix socket.
    pub fn serve_unix(&self, path: &Path) -> io::Result<()> {
        let listener = UnixListener::bind(path)?;
        self.serve(move || listener.accept().map(|(stream, _)| stream));
        Ok(())
    }
}

/// Types these bytes into a terminal, a little at a time.
pub fn typed(bytes: Vec<u8>, mut terminal: impl Write + Send + 'static) {
    std::thread::spawn(move || {
        for piece in bytes.chunks(300) {
            if terminal.write_all(piece).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}
