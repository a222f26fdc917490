use std::io::Read;
use std::process::{Command, Stdio};

use link::{Class, Config, Event, FRAME_MAX, Link};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::*;

type End = Link<Box<[u8]>, 64, 8>;

/// Two ends without a wire between them, and a channel.
struct Pair {
    ends: [End; 2],
    id: u16,
    now: link::Instant,
}

impl Pair {
    fn new() -> Pair {
        let (buffer, now) = (|| vec![0; 65_536].into_boxed_slice(), link::Instant::from_micros(1));
        let ends = [1, 2].map(|id| End::with_channels(Config::for_baud(0), id, now));
        let mut pair = Pair { ends, id: 0, now };
        pair.pass();
        pair.id = pair.ends[0].open(b"x", Class::Bulk, buffer(), buffer()).expect("a channel");
        pair.pass();
        while pair.ends[1].poll_event().is_some_and(|event| event != Event::Asked(pair.id)) {}
        assert!(pair.ends[1].accept(pair.id, Class::Bulk, buffer(), buffer()).is_ok());
        pair.pass();
        pair
    }
    /// What either says reaches the other.
    fn pass(&mut self) {
        let mut frame = vec![0; FRAME_MAX];
        for step in 0..40 {
            self.now = self.now.after(1_000);
            let (from, to) = (step % 2, 1 - step % 2);
            self.ends[from].handle_timeout(self.now);
            while let Some(len) = self.ends[from].poll_transmit(&mut frame, self.now) {
                self.ends[to].handle_bytes(&frame[..len], self.now);
            }
        }
    }
    /// The channel of the end that offers the service.
    fn served(&mut self) -> &mut Channel {
        self.ends[1].channel(self.id).expect("the channel is open")
    }
}

#[test]
fn a_terminal_that_is_full_is_told_the_end_later() {
    let pty = openpty(None, None).unwrap();
    let mut raw = tcgetattr(&pty.slave).unwrap();
    cfmakeraw(&mut raw);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &raw).unwrap();
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut local = Local::terminal(child, pty.master.try_clone().unwrap()).unwrap();
    let mut filled = 0;
    while let Ok(n) = nix::unistd::write(&pty.master, &[b'x'; 999]) {
        filled += n;
    }
    let mut pair = Pair::new();
    pair.ends[0].channel(pair.id).unwrap().finish();
    pair.pass();
    assert!(pair.served().at_end());
    assert_eq!(local.settle(pair.served()), Fate::Lives);
    assert!(local.needs_look(pair.served()), "nothing else will say that there is room");
    let (mut slave, mut text) = (std::fs::File::from(pty.slave), vec![0; filled]);
    slave.read_exact(&mut text).unwrap();
    assert!(text.iter().all(|&byte| byte == b'x'));
    local.settle(pair.served());
    crate::port::set_nonblocking(slave.as_fd()).unwrap();
    assert_eq!((slave.read(&mut text).unwrap(), text[0], local.needs_look(pair.served())), (1, 4, false), "VEOF, once");
}

#[test]
fn a_command_nobody_can_wait_for_is_no_success() {
    let mut child = Command::new("true").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (input, output) = (child.stdout.take().unwrap().into(), child.stdin.take().unwrap().into());
    child.wait().unwrap();
    let mut local = Local::command(child, input, output).unwrap();
    let mut pair = Pair::new();
    local.read(pair.served(), &mut [0; 100]);
    let fate = local.settle(pair.served());
    pair.pass();
    assert!(fate == Fate::Broken || local.settle(pair.served()) == Fate::Broken);
    assert!(!pair.served().is_sent(), "its stream has not ended");
    assert!(local.breach().to_string().contains("cannot wait for the service"));
}
