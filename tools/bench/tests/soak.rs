//! The soak in small: the same code as `hardline-soak`, with a day of twelve seconds.
#![allow(missing_docs)]

use std::time::Duration;

use bench::soak::run::{Options, run};

const LENGTH: Duration = Duration::from_secs(12);

#[test]
fn a_short_day_of_noise_loses_nothing() {
    let seed = std::env::var("HARDLINE_SEED").map_or(1, |s| s.parse().expect("HARDLINE_SEED is a number"));
    let options = Options { hardline: bench::hardline().unwrap(), seed, length: LENGTH };
    let mut hours = 0;
    let report = run(&options, &mut |_| hours += 1).expect("the soak runs");
    assert!(report.held(), "HARDLINE_SEED={seed}\n{report}");
    // it was a day worth the name
    assert!(hours > 0 && report.outages > 0 && report.unplugs > 0, "{report}");
    let noise = report.ways.map(|w| w.wire.noise);
    assert!(noise.iter().all(|n| n.flipped > 0) && noise.iter().any(|n| n.dropped + n.inserted > 0), "{report}");
    assert!(report.ways.iter().all(|w| w.wire.outage > 0), "{report}");
}
