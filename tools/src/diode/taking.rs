//! What becomes of what came: files, lines and streams, and the words about them.

use std::io::{self, Write};
use std::os::fd::AsFd;

use diode::receiver::Receiver;
use diode::stream::Out;
use diode::wire::{Body, Record};
use nix::poll::PollFlags;
use serde_json::json;

use super::ending::{Over, why};
use super::receive::{OnGap, Receiving, Sink, keep};
use super::report::line;
use super::spool::News;
use crate::error::{Doing, Failure, kinds};
use crate::names::printable;
use crate::signal::{Signal, Signals};
use crate::stdio;

/// Most zeros that fill one gap, in bytes: a number from the wire says how long it is.
const FILL_MAX: u64 = 1 << 30;

impl Receiving<'_> {
    pub(super) fn take_body(&mut self, bytes: &[u8], receiver: &Receiver, count: &mut u64) -> Result<(), Failure> {
        let Some(body) = Body::parse(bytes) else { return Ok(()) };
        match (&mut self.sink, body.record) {
            (Sink::Objects { spool, .. }, Record::Manifest(m)) => {
                let news = spool.handle_manifest(&m);
                let news = news.doing(kinds::SPOOL_FAILED, || keep(spool))?;
                self.tell(news, receiver, count);
            }
            (Sink::Objects { spool, .. }, Record::Symbol { object, block, symbol, payload }) => {
                let news = spool.handle_symbol(object, block, symbol, payload);
                let news = news.doing(kinds::SPOOL_FAILED, || keep(spool))?;
                self.tell(news, receiver, count);
            }
            (Sink::Lines(Some(numbers)), Record::Datum { number, payload }) => {
                let new = numbers.is_new(number);
                if new {
                    *count += payload.len() as u64 + 1;
                    write_out(&[payload, b"\n"].concat())?;
                }
            }
            (Sink::Stream(Some(stream), _), Record::Shard { group, place, pieces, offset, payload }) => {
                stream.handle_shard(group, place, pieces, offset, payload);
                self.hand_out(receiver, count, None)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes out what there is of a stream; `over`: nothing more comes.
    pub(super) fn hand_out(&mut self, receiver: &Receiver, count: &mut u64, over: Option<&Over>) -> Result<(), Failure> {
        let Sink::Stream(Some(stream), on_gap) = &mut self.sink else { return Ok(()) };
        if let unheard @ 1.. = stream.take_unheard() {
            let what = format!("the first {unheard} bytes of the stream were sent before anything was heard (late)");
            self.report.missing(&what, json!({"offset": 0, "bytes": unheard, "cause": "late"}));
            self.report.lose(unheard);
        }
        while let Some(out) = stream.poll_out() {
            match out {
                Out::Bytes(bytes) => {
                    *count += bytes.len() as u64;
                    write_out(&bytes)?;
                }
                Out::Gap { offset, bytes } => {
                    let what = format!("{bytes} bytes of the stream are lost from byte {offset} on");
                    let why = why(&self.source, self.session.as_ref(), receiver, over);
                    self.report.missing(&what, json!({"offset": offset, "bytes": bytes, "cause": why}));
                    self.report.lose(bytes);
                    match on_gap {
                        OnGap::Fail => return Err(Failure::new(kinds::STREAM_GAP, what)),
                        OnGap::Skip => {}
                        OnGap::Zero if bytes > FILL_MAX => {
                            let what = format!("{what}: too many to be filled with zeros");
                            return Err(Failure::new(kinds::STREAM_GAP, what));
                        }
                        OnGap::Zero => {
                            *count += bytes;
                            fill(bytes, self.signals)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn tell(&mut self, news: Vec<News>, receiver: &Receiver, count: &mut u64) {
        for one in news {
            match one {
                News::Announced { transfer, kept } => {
                    self.report.say("announced", json!({"transfer": format!("{transfer:016x}"), "kept": kept}));
                }
                News::Refused(name, why) => {
                    let what = format!("'{}' is not accepted: {why}", printable(name.as_bytes()));
                    self.report.refuse(&what, json!({"name": name, "cause": why}));
                }
                News::Anew(name, why) => {
                    let shown = printable(name.as_bytes());
                    let what = format!("'{shown}' is thrown away: {why}; waiting for it anew");
                    self.report.notice(kinds::BEGUN_ANEW, &what, "anew", json!({"name": name, "cause": why}));
                }
                News::Delivered(d) => {
                    *count += d.size;
                    let (name, (used, made)) = (printable(d.name.as_bytes()), d.margin);
                    tracing::info!("{name} is whole ({} bytes, {used} of {made} repair symbols used)", d.size);
                    let fields = json!({
                        "name": d.name, "transfer": format!("{:016x}", d.transfer), "size": d.size, "path": d.path.to_string_lossy(),
                        "repair_used": d.margin.0, "repair_made": d.margin.1, "line": line(&receiver.stats()),
                    });
                    self.report.say("delivered", fields);
                    if used * 2 > made {
                        // before anything is lost: the next outage or a little more noise would do it
                        tracing::warn!(code = %kinds::MARGIN_THIN, "{name} needed {used} of {made} repair symbols: the margin is going");
                    }
                    if let Sink::Objects { hooks: Some(hooks), .. } = &mut self.sink {
                        hooks.add(d.owed, d.path);
                    }
                }
            }
        }
    }
}

fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    stdio::check_output()?;
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).doing(kinds::OUTPUT_FAILED, || "write the output".into())
}

/// Writes zeros, as long as nobody asks for the end.
fn fill(mut left: u64, signals: &Signals) -> Result<(), Failure> {
    let zeros = [0u8; 4096];
    let out = stdio::output()?;
    while left > 0 {
        if let Some(Signal::End(number)) = signals.take() {
            return Err(Failure::signal(number, "interrupted"));
        }
        let fds = [(out.as_fd(), PollFlags::POLLOUT), (signals.fd(), PollFlags::POLLIN)];
        let ready = crate::drive::wait(&fds, None).doing(kinds::SYSTEM, || "wait for the output".into())?;
        if !ready[0].is_empty() {
            let n = left.min(zeros.len() as u64);
            write_out(&zeros[..n as usize])?;
            left -= n;
        }
    }
    Ok(())
}
