#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| diode_fuzz::sealed(data));
