//! hardline on serial hardware: real adapters, or the ports of an emulated machine. See README.md.
//!
//! `HIL_PORTS=A,B hil [NAME..]` runs the tests with these names, or all. What a rig cannot do is listed as
//! not run, with the reason.

mod process;
mod rig;
mod tests;
mod tty;

use std::process::ExitCode;
use std::time::Instant;

use rig::Rig;

/// What a test found: a remark, or why it failed.
type Verdict = Result<String, String>;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let rig = match Rig::from_env() {
        Ok(rig) => rig,
        Err(why) => {
            eprintln!("hil: {why}");
            return ExitCode::from(2);
        }
    };
    if let [word, port] = &names[..]
        && word == tests::FILL
    {
        return tests::fill(port, &rig);
    }
    let unknown = names.iter().find(|n| tests::ALL.iter().all(|t| t.name != n.as_str()));
    if let Some(name) = unknown {
        eprintln!("hil: there is no test '{name}'; there are {}", tests::ALL.map(|t| t.name).join(", "));
        return ExitCode::from(2);
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for test in &tests::ALL {
        if !names.is_empty() && !names.iter().any(|n| n == test.name) {
            continue;
        }
        if let Some(why) = rig.lacks(test.needs) {
            println!("NOT RUN {}: {why}", test.name);
            skipped += 1;
            continue;
        }
        let began = Instant::now();
        let verdict = (test.run)(&rig);
        let seconds = began.elapsed().as_secs_f64();
        match verdict {
            Ok(remark) => {
                println!("PASS {} ({seconds:.1} s) {remark}", test.name);
                passed += 1;
            }
            Err(why) => {
                println!("FAIL {} ({seconds:.1} s): {why}", test.name);
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0))
}
