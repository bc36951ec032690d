#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| iam_token_operator_fuzz::duration(data));
