//! The sweep in `fixtures/goodput.txt` is what the code does now, checked in two of its rows.
#![allow(missing_docs)]

#[allow(dead_code)]
#[path = "../examples/goodput.rs"]
mod goodput;

#[test]
fn the_table_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/goodput.txt");
    let table = std::fs::read_to_string(path).unwrap();
    std::thread::scope(|scope| {
        for ber in [1e-5, 1e-3] {
            let table = &table;
            scope.spawn(move || {
                let line = goodput::line(ber, &goodput::row(ber));
                assert!(table.contains(&line), "{line} is not in the table: cargo run --release -p link --example goodput");
            });
        }
    });
}
