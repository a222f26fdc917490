//! What becomes of what came: files, lines and streams, and the words about them.

use diode::receiver::Receiver;
use diode::stream::Out;
use diode::wire::{Body, Record};
use serde_json::json;

use super::ending::{Over, why};
use super::receive::{OnGap, Receiving, Sink, keep};
use super::report::line;
use super::send::check;
use super::spool::News;
use super::stdout::Stdout;
use crate::error::{Doing, Failure, kinds};
use crate::limit;
use crate::names::printable;
use crate::signal::Signals;

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
                    write_out(self.output.as_ref(), &[payload, b"\n"].concat(), self.signals)?;
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
                    write_out(self.output.as_ref(), &bytes, self.signals)?;
                }
                Out::Gap { offset, bytes } => {
                    let what = format!("{bytes} bytes of the stream are lost from byte {offset} on");
                    let why = why(&self.source, self.session.as_ref(), receiver, over);
                    let fields = json!({"offset": offset, "bytes": bytes, "cause": why});
                    self.report.lose(bytes);
                    let ends = match on_gap {
                        OnGap::Fail => Some(format!("{what} ({why})")),
                        OnGap::Zero if bytes > FILL_MAX => Some(format!("{what} ({why}): too many to be filled with zeros")),
                        OnGap::Skip | OnGap::Zero => None,
                    };
                    if let Some(what) = ends {
                        self.report.missing_at_last(fields);
                        return Err(Failure::new(kinds::STREAM_GAP, what));
                    }
                    self.report.missing(&format!("{what} ({why})"), fields);
                    match on_gap {
                        OnGap::Fail | OnGap::Skip => {}
                        OnGap::Zero => {
                            *count += bytes;
                            fill(self.output.as_ref(), bytes, self.signals)?;
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
                News::Superseded { name, transfer } => {
                    let shown = printable(name.as_bytes());
                    let what = format!("what came of an older '{shown}' is thrown away: a newer one is whole");
                    let fields = json!({"name": name, "transfer": format!("{transfer:016x}")});
                    self.report.notice(kinds::SUPERSEDED, &what, "superseded", fields);
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
                        let what = format!("{name} needed {used} of {made} repair symbols: the margin is going");
                        limit::warn(kinds::MARGIN_THIN, what);
                    }
                    if let Sink::Objects { hooks: Some(hooks), .. } = &mut self.sink {
                        hooks.add(d.owed, d.path);
                    }
                }
            }
        }
    }
}

fn write_out(output: Option<&Stdout>, bytes: &[u8], signals: &Signals) -> Result<(), Failure> {
    output.map_or(Ok(()), |output| output.write(bytes, signals))
}

/// Writes zeros, as long as nobody asks for the end.
fn fill(output: Option<&Stdout>, mut left: u64, signals: &Signals) -> Result<(), Failure> {
    let zeros = [0u8; 4096];
    while left > 0 {
        check(signals).map_err(|failure| failure.with("interrupted".into()))?;
        let n = left.min(zeros.len() as u64);
        write_out(output, &zeros[..n as usize], signals)?;
        left -= n;
    }
    Ok(())
}
