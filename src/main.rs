//! The program: everything is in the library.

use std::process::ExitCode;

/// Gives freed memory back to the system, which the usual allocator keeps after a start with many watches. SQLite
/// and whatever else is written in C allocates with it, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    stakeout::cli::main()
}
