//! What to make of what was read: a line for each rate and way, what it means, the flags to use.

use diode::profile;
use serde_json::{Value, json};

use super::lines::{self, Wiring};
use super::plot::cells;
use super::trial::Reading;
use super::values::{Hit, in_short, in_words};

/// Below this share of the rate a line is slower than it should be: something between the ends holds it back.
const SLOW: f64 = 0.95;
/// Echoes that take longer than this, beside their bits, point at an adapter that waits (µs).
const HELD_BACK_US: u32 = 6_000;

/// One way at one rate: what was read of so many bytes sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// What the hearing end read.
    pub reading: Reading,
    /// What the sending end gave to its port.
    pub sent: u64,
}

/// What is said of a way in one word or a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No error was seen.
    Clean,
    /// Wrong bits, and nothing else.
    Noisy,
    /// Bytes went or came.
    Slips,
    /// Some bytes never arrive as they are, whatever the rate.
    Alters,
    /// Clean or not, the bytes come slower than the rate.
    Slow,
    /// Nothing that could be read.
    Dead,
    /// Not tried.
    Refused,
}

impl Verdict {
    /// For people and for scripts.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Noisy => "noisy",
            Verdict::Slips => "loses bytes",
            Verdict::Alters => "alters bytes",
            Verdict::Slow => "too slow",
            Verdict::Dead => "unreadable",
            Verdict::Refused => "not tried",
        }
    }
}

impl Way {
    /// What it is like.
    pub fn verdict(&self) -> Verdict {
        let read = &self.reading;
        match () {
            () if read.refused.is_some() => Verdict::Refused,
            () if !read.is_readable() => Verdict::Dead,
            () if !read.hits.is_empty() || read.spoiled != 0 => Verdict::Alters,
            () if read.per_second < SLOW * f64::from(read.baud) / 10.0 => Verdict::Slow,
            () if read.slips > 0 || self.is_cut() => Verdict::Slips,
            () if read.wrong_bits > 0 => Verdict::Noisy,
            () => Verdict::Clean,
        }
    }
    /// The last of it never came: more than what the ends' clocks may differ by.
    fn is_cut(&self) -> bool {
        self.missing() > 64 + self.sent / 50
    }
    /// Bytes sent behind the last one that came.
    pub fn missing(&self) -> u64 {
        self.sent.saturating_sub(self.reading.place)
    }
    /// What it does to certain bytes, in a few words; none where it does nothing of the kind.
    fn alters(&self) -> Option<String> {
        Some(in_short(&self.reading.hits, self.reading.spoiled)).filter(|words| !words.is_empty())
    }
    /// User bytes per second that `hardline link` should make of it; 0 where some bytes never get through.
    pub fn goodput(&self) -> f64 {
        let read = &self.reading;
        if !read.is_readable() || !read.is_transparent() || !read.per_second.is_finite() {
            return 0.0;
        }
        let bytes = read.bytes as f64;
        let share = link::goodput(read.wrong_bytes as f64 / bytes, read.slips as f64 / bytes);
        share * read.per_second.clamp(0.0, f64::from(read.baud) / 10.0)
    }
}

/// One rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Bits per second.
    pub baud: u32,
    /// From here to the peer.
    pub to_peer: Option<Way>,
    /// From the peer (or from ourselves) to here.
    pub from_peer: Option<Way>,
}

impl Row {
    /// Of two ends that read each other.
    pub fn of_two(mine: Reading, theirs: Reading) -> Row {
        let (sent, came) = (mine.sent, theirs.sent);
        Row { baud: mine.baud, to_peer: Some(Way { reading: theirs, sent }), from_peer: Some(Way { reading: mine, sent: came }) }
    }
    /// Of an end that read `sent` bytes, or what it sent itself.
    pub fn of_one(reading: Reading, sent: Option<u64>) -> Row {
        let sent = sent.unwrap_or(reading.sent);
        Row { baud: reading.baud, to_peer: None, from_peer: Some(Way { reading, sent }) }
    }
    fn ways(&self) -> impl Iterator<Item = &Way> {
        [&self.to_peer, &self.from_peer].into_iter().flatten()
    }
    /// What the worse way makes, in user bytes per second.
    pub fn goodput(&self) -> f64 {
        self.ways().map(Way::goodput).min_by(f64::total_cmp).unwrap_or(0.0)
    }
    /// Median and largest time of an echo beside its bits (µs), how many came, how many were asked for.
    pub fn echo_us(&self) -> Option<(u32, u32, usize, u32)> {
        let asked = self.ways().map(|w| &w.reading).find(|r| r.asked > 0 && !r.echoes_us.is_empty())?;
        let echoes = &asked.echoes_us;
        Some((echoes[echoes.len() / 2], *echoes.last()?, echoes.len(), asked.asked))
    }
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// The port, as it was named.
    pub port: String,
    /// `two-way`, `loopback` or `one-way`.
    pub mode: &'static str,
    /// A row for each rate, in the order of trials.
    pub rows: Vec<Row>,
    /// How modem lines are joined, where there are any.
    pub wiring: Option<Wiring>,
    /// Latency timers of this adapter and of the peer's, in milliseconds.
    pub timers_ms: [Option<u32>; 2],
}

/// What to type.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The best rate.
    pub baud: u32,
    /// `none` or `rtscts`.
    pub flow: &'static str,
    /// The flags after the port, for `link` and `pipe` or for `diode send`.
    pub flags: String,
    /// Commands for both ends, the sending one first.
    pub commands: Vec<String>,
    /// User bytes per second each way; of a one-way wire those of a large file, beside all repair but that for an outage.
    pub bytes_per_second: f64,
}

impl Report {
    /// The rate that delivers most, and how to use it; none when nothing could be read both ways.
    pub fn advice(&self) -> Option<Advice> {
        if self.mode == "one-way" {
            return self.one_way();
        }
        let best = self.rows.iter().max_by(|a, b| a.goodput().total_cmp(&b.goodput())).filter(|r| r.goodput() > 0.0)?;
        let overrun = best.ways().any(|w| w.reading.counted.overruns > 0);
        let flow = if overrun && self.wiring.as_ref().is_some_and(lines::can_flow) { "rtscts" } else { "none" };
        let mut flags = format!("-b {}", best.baud);
        if flow == "rtscts" {
            flags.push_str(" --flow rtscts");
        }
        let commands = vec![format!("hardline link {} {flags}", self.port), format!("hardline pipe {} {flags}", self.port)];
        Some(Advice { baud: best.baud, flow, flags, commands, bytes_per_second: best.goodput() })
    }
    /// What one way loses is lost: where most comes through, of the rates that are clean enough for a profile.
    fn one_way(&self) -> Option<Advice> {
        let profile = |way: &Way| {
            let read = &way.reading;
            // a byte lost spoils as much as one that is wrong
            let bad = (read.wrong_bits + read.slips) as f64 / (8.0 * read.bytes.max(1) as f64);
            let bad = if read.wrong_bits + read.slips == 0 { read.ber_below() / 3.0 } else { bad };
            match bad {
                b if b <= 1e-6 => Some(profile::CABLE),
                b if b <= 1e-5 => Some(profile::INDUSTRIAL),
                b if b <= 1e-4 => Some(profile::HARSH),
                _ => None,
            }
        };
        let usable = |row: &Row| {
            let way = row.from_peer.as_ref().filter(|w| w.reading.is_readable() && w.reading.is_transparent())?;
            let profile = profile(way)?;
            let per_second = way.reading.per_second.clamp(0.0, f64::from(row.baud) / 10.0);
            Some((row.baud, profile.name, per_second * profile.file_share()))
        };
        let (baud, profile, bytes_per_second) = self.rows.iter().filter_map(usable).max_by(|a, b| a.2.total_cmp(&b.2))?;
        let flags = format!("-b {baud} --profile {profile}");
        let commands = vec![
            format!("hardline diode send PORT {flags} FILE.."),
            format!("hardline diode recv {} -b {baud} --out DIR", self.port),
        ];
        Some(Advice { baud, flow: "none", flags, commands, bytes_per_second })
    }

    /// What is remarkable beside the rates, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        let mut said = Vec::new();
        match (&self.wiring, self.mode) {
            (Some(wiring), "loopback") => {
                let own = Wiring { to_peer: wiring.own, ..Wiring::default() };
                said.push(format!("wiring: {}", lines::joined(&own).replace("its", "our")));
            }
            (Some(wiring), _) => {
                said.push(format!("wiring: {}", lines::joined(wiring)));
                said.extend(lines::faults(wiring).into_iter().map(|fault| format!("wiring: {fault}")));
            }
            (None, _) => {}
        }
        for (timer, whose) in self.timers_ms.into_iter().zip(["this adapter", "the peer's adapter"]) {
            match timer {
                Some(ms) if ms > 1 => said.push(format!(
                    "timer: {whose} holds what it receives for {ms} ms; 1 ms is better (the udev rule of the package, or root)"
                )),
                Some(ms) => said.push(format!("timer: {whose} has {ms} ms")),
                None => {}
            }
        }
        for way in self.rows.iter().flat_map(Row::ways).filter(|w| w.reading.counted.overruns > 0) {
            let read = &way.reading;
            said.push(format!(
                "overruns: at {} the receiving driver had no room for {} bytes: a slower rate, --flow rtscts, or a UART with a larger buffer",
                read.baud, read.counted.overruns
            ));
        }
        said.extend(self.altered().map(|altered| format!("bytes: {altered}")));
        let best = self.rows.iter().max_by(|a, b| a.goodput().total_cmp(&b.goodput()));
        if let Some((median, most, came, asked)) = best.and_then(Row::echo_us) {
            let why = if median > HELD_BACK_US { "; something holds bytes back: a latency timer, or a USB hub" } else { "" };
            let (median, most) = (f64::from(median) / 1e3, f64::from(most) / 1e3);
            said.push(format!(
                "echo: {median:.1} ms, {most:.1} ms at most, beside the time of the bits ({came} of {asked} came back){why}"
            ));
        }
        said
    }

    /// What the wire does to certain bytes, and what that comes from; none where it does nothing of the kind.
    pub fn altered(&self) -> Option<String> {
        let read = |way: fn(&Row) -> Option<&Way>| -> Vec<(&[Hit], u8)> {
            self.rows.iter().filter_map(way).map(|way| (&way.reading.hits[..], way.reading.spoiled)).collect()
        };
        in_words(&read(|row| row.to_peer.as_ref()), &read(|row| row.from_peer.as_ref()))
    }

    /// One JSON object; README and `hardline test --help` name its fields.
    pub fn to_json(&self) -> Value {
        let row = |row: &Row| {
            let echo = row.echo_us().map(
                |(median, most, came, asked)| json!({ "median_us": median, "max_us": most, "received": came, "sent": asked }),
            );
            json!({
                "baud": row.baud,
                "to_peer": row.to_peer.as_ref().map(way_to_json),
                "from_peer": row.from_peer.as_ref().map(way_to_json),
                "echo": echo,
                "goodput": row.goodput().round(),
            })
        };
        let wiring = self
            .wiring
            .as_ref()
            .map(|w| json!({ "joined": lines::joined(w), "faults": lines::faults(w), "rtscts": lines::can_flow(w) }));
        let advice = self.advice().map(|a| {
            json!({
                "baud": a.baud, "flow": a.flow, "flags": a.flags, "commands": a.commands,
                "goodput": a.bytes_per_second.round(),
            })
        });
        json!({
            "port": self.port,
            "mode": self.mode,
            "rates": self.rows.iter().map(row).collect::<Vec<_>>(),
            "wiring": wiring,
            "latency_timer_ms": self.timers_ms[0],
            "peer_latency_timer_ms": self.timers_ms[1],
            "use": advice,
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = String::from("    BAUD  WAY   BYTES/S  BIT ERRORS  BYTE ERRORS  SLIPS  OVER TIME             WHAT\n");
        for row in &self.rows {
            for (name, way) in [("to", &row.to_peer), ("from", &row.from_peer)] {
                if let Some(way) = way {
                    text.push_str(&line(row.baud, if row.to_peer.is_none() { "in" } else { name }, way));
                    text.push('\n');
                }
            }
        }
        for remark in self.remarks() {
            text.push_str(&remark);
            text.push('\n');
        }
        match self.advice() {
            Some(advice) => {
                let [kilobytes, megabits] = [advice.bytes_per_second / 1e3, advice.bytes_per_second * 8.0 / 1e6];
                text.push_str(&format!(
                    "use: {}   (about {kilobytes:.1} kB/s, {megabits:.2} Mbit/s of user data)",
                    advice.commands.join("  or  ")
                ));
            }
            None if self.altered().is_some() => text.push_str("use: nothing; some bytes get through at no rate"),
            None => text.push_str("use: nothing; at no rate a usable share of the bytes came through"),
        }
        text
    }
}

/// What is to be said of one way at one rate.
pub fn line(baud: u32, name: &str, way: &Way) -> String {
    let read = &way.reading;
    let verdict = way.verdict();
    let share = |wrong: u64, of: f64| match (read.bytes, wrong) {
        (0, _) => "-".to_owned(),
        // none was seen: the rule of three
        (_, 0) => format!("< {:.1e}", 3.0 / of),
        (_, wrong) => format!("{:.1e}", wrong as f64 / of),
    };
    let [bits, bytes] = [share(read.wrong_bits, 8.0 * read.bytes as f64), share(read.wrong_bytes, read.bytes as f64)];
    let mut what = verdict.name().to_owned();
    if let Some(why) = &read.refused {
        what = format!("{what}: {}", crate::names::printable(why.as_bytes()));
    }
    if let Some(altered) = way.alters() {
        what = format!("{what}: {altered}");
    }
    if read.lost + read.inserted > 0 {
        what = format!("{what} ({} lost, {} too many)", read.lost, read.inserted);
    }
    if verdict == Verdict::Slips && way.is_cut() {
        what = format!("{what}; the last {} never came", way.missing());
    }
    if verdict == Verdict::Dead && read.received > 0 {
        what = format!("{what}: {} bytes came", read.received);
    }
    if verdict == Verdict::Dead && read.received == 0 {
        what = "nothing came".into();
    }
    let rate = format!("{:.0}", read.per_second.clamp(0.0, 1e9));
    format!("{baud:8}  {name:4}  {rate:>8}  {bits:>10}  {bytes:>11}  {:5}  {:20}  {what}", read.slips, cells(&read.series))
}

fn way_to_json(way: &Way) -> Value {
    let read = &way.reading;
    json!({
        "sent": way.sent,
        "received": read.received,
        "compared": read.bytes,
        "wrong_bytes": read.wrong_bytes,
        "wrong_bits": read.wrong_bits,
        "ber": read.ber(),
        "ber_below": read.ber().filter(|b| *b == 0.0).map(|_| read.ber_below()),
        "byte_error_rate": (read.bytes > 0).then(|| read.wrong_bytes as f64 / read.bytes as f64),
        "slips": read.slips,
        "lost": read.lost,
        "inserted": read.inserted,
        "missing_at_end": way.missing(),
        "bytes_per_second": read.per_second.round(),
        "overruns": read.counted.overruns,
        "framing_errors": read.counted.framing,
        "altered": read.hits.iter().map(Hit::to_json).collect::<Vec<_>>(),
        "bits_lost": (0..8).filter(|bit| read.spoiled >> bit & 1 == 1).map(|bit| bit + 1).collect::<Vec<u8>>(),
        "verdict": way.verdict().name(),
        "refused": read.refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::values::Fate;

    fn reading(baud: u32, bits: u64, slips: u64) -> Reading {
        let bytes = u64::from(baud) / 10;
        let per_second = f64::from(baud) / 10.0;
        Reading {
            baud,
            bytes,
            received: bytes,
            place: bytes,
            sent: bytes,
            per_second,
            wrong_bits: bits,
            wrong_bytes: bits,
            slips,
            ..Reading::default()
        }
    }
    fn report(rows: Vec<Row>, mode: &'static str) -> Report {
        Report { port: "/dev/ttyUSB0".into(), mode, rows, wiring: None, timers_ms: [None; 2] }
    }

    #[test]
    fn the_rate_that_delivers_most_is_advised() {
        let two = |baud, bits| Row::of_two(reading(baud, bits, 0), reading(baud, 0, 0));
        // at 3 Mbps two bytes in a hundred are wrong
        let noisy = report(vec![two(115_200, 0), two(2_000_000, 3), two(3_000_000, 60_000)], "two-way");
        let advice = noisy.advice().unwrap();
        assert_eq!((advice.baud, advice.flags.as_str()), (2_000_000, "-b 2000000"));
        assert!(advice.bytes_per_second > 190_000.0, "{advice:?}");
        // some noise at a higher rate is worth it
        let better = report(vec![two(1_000_000, 0), two(2_000_000, 1600)], "two-way");
        assert_eq!(better.advice().unwrap().baud, 2_000_000);
        assert!(better.to_text().ends_with("of user data)"));
    }

    #[test]
    fn one_way_the_noise_decides_the_profile() {
        let one = |baud, bits| Row::of_one(reading(baud, bits, 0), None);
        let rows = vec![one(115_200, 0), one(1_000_000, 8), one(2_000_000, 3000)];
        let advice = report(rows, "one-way").advice().unwrap();
        assert_eq!(advice.flags, "-b 1000000 --profile industrial");
        // 15 % repair, 504 bytes on the wire for 480
        assert!((80_000.0..84_000.0).contains(&advice.bytes_per_second), "{advice:?}");
        // twice the rate is worth the noise, half as much again is not
        let worth = |clean| report(vec![one(clean, 0), one(2_000_000, 100)], "one-way").advice().unwrap();
        assert_eq!(worth(1_000_000).flags, "-b 2000000 --profile harsh");
        assert!((115_000.0..130_000.0).contains(&worth(1_000_000).bytes_per_second), "{:?}", worth(1_000_000));
        assert_eq!(worth(1_500_000).baud, 1_500_000);
    }

    #[test]
    fn what_cannot_be_used_is_not_advised() {
        let dead = Row::of_two(Reading { baud: 9600, received: 900, ..Reading::default() }, reading(9600, 0, 0));
        let report = report(vec![dead], "two-way");
        assert!(report.advice().is_none());
        assert!(report.to_text().contains("unreadable: 900 bytes came"), "{}", report.to_text());
        assert_eq!(report.to_json()["use"], Value::Null);
    }

    #[test]
    fn a_wire_that_eats_bytes_is_named_and_not_advised() {
        let eaten = |baud, byte| {
            let hits = vec![Hit { byte, fate: Fate::Lost }, Hit { byte: 0x13, fate: Fate::Lost }];
            Reading { hits, lost: 90, slips: 90, ..reading(baud, 0, 0) }
        };
        let both = report(vec![Row::of_two(eaten(115_200, 0x11), eaten(115_200, 0x11))], "two-way");
        assert!(both.advice().is_none() && both.to_json()["use"].is_null());
        assert_eq!(both.to_json()["rates"][0]["to_peer"]["altered"][0], json!({ "byte": 17, "fate": "lost", "other": null }));
        let text = both.to_text();
        assert!(text.contains("alters bytes: eats 11 13 (90 lost, 0 too many)"), "{text}");
        assert!(text.contains("bytes: the wire eats 11 13: software flow control (XON/XOFF)"), "{text}");
        assert!(text.ends_with("use: nothing; some bytes get through at no rate"), "{text}");
        // one way is enough, and a rate at which it does not happen can be used
        let rows =
            vec![Row::of_two(eaten(115_200, 0), reading(115_200, 0, 0)), Row::of_two(reading(9600, 0, 0), reading(9600, 0, 0))];
        let one = report(rows, "two-way");
        assert_eq!(one.advice().unwrap().baud, 9600);
        assert!(one.altered().unwrap().starts_with("on the way here the wire eats 00 13: "), "{:?}", one.altered());
        assert!(report(vec![Row::of_one(eaten(9600, 0), None)], "one-way").advice().is_none());
        // what is only changed in its place is repaired
        let changed =
            Reading { hits: vec![Hit { byte: 0x0D, fate: Fate::Changed(0x0A) }], wrong_bits: 90, ..reading(9600, 0, 0) };
        assert_eq!(report(vec![Row::of_two(changed.clone(), changed)], "two-way").advice().unwrap().baud, 9600);
        let seven = Reading { spoiled: 0x80, ..reading(9600, 100, 0) };
        assert!(report(vec![Row::of_one(seven, None)], "loopback").advice().is_none());
    }

    #[test]
    fn a_line_slower_than_its_rate_is_told_from_a_noisy_one() {
        let mut slow = reading(2_000_000, 0, 0);
        slow.per_second = 11_520.0;
        assert_eq!(Way { sent: slow.place, reading: slow }.verdict(), Verdict::Slow);
        assert_eq!(Way { sent: 200_000, reading: reading(2_000_000, 1, 0) }.verdict(), Verdict::Noisy);
        assert_eq!(Way { sent: 200_000, reading: reading(2_000_000, 0, 1) }.verdict(), Verdict::Slips);
        assert_eq!(Way { sent: 300_000, reading: reading(2_000_000, 0, 0) }.verdict(), Verdict::Slips);
    }
}
