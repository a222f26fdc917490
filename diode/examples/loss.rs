//! The table `fixtures/loss.txt`: `cargo run -p diode --example loss --features alloc,std > fixtures/loss.txt`.

use diode::{loss, profile};

/// The whole table.
pub fn table() -> String {
    let mut text = String::from(
        "# Chance of loss for good per profile and bit error rate (diode::loss): a stream block, a 16 MB object after\n\
         # one round at 200 kB/s, a datagram of 64 bytes; each without and with one outage of the length the profile\n\
         # survives. Below 1e-15 it says 0.\n\
         # profile BER | stream, outage | object, outage | datagram, outage\n",
    );
    let show = |p: f64| if p < 1e-15 { "0".to_owned() } else { format!("{p:.1e}") };
    for profile in profile::ALL {
        for ber in [1e-7, 1e-6, 1e-5, 3e-5, 1e-4] {
            let cells: Vec<String> = [false, true]
                .map(|outage| {
                    [
                        loss::stream_block(ber, &profile, outage),
                        loss::object(ber, &profile, 16_000_000, 200_000, outage),
                        loss::datagram(ber, &profile, 64, outage),
                    ]
                })
                .concat()
                .into_iter()
                .map(show)
                .collect();
            let line = format!(
                "{:<10} {ber:.0e} | {:>8} {:>8} | {:>8} {:>8} | {:>8} {:>8}\n",
                profile.name, cells[0], cells[3], cells[1], cells[4], cells[2], cells[5]
            );
            text.push_str(&line);
        }
    }
    text
}

#[allow(dead_code)]
fn main() {
    print!("{}", table());
}
