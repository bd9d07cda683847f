#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stakeout::fuzzing::run("page", bytes));
