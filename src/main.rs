//! The program: everything is in the library.

use std::process::ExitCode;

/// Gives freed memory back to the system, which the usual allocator keeps after a start with many watches.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    stakeout::cli::main()
}
