//! The `portcullis` program: reads the command line and does what it says. The only process exit is here.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis::cli::main()
}
