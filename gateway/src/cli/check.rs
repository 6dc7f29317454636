//! `portcullis check`: reads configuration files as `run` would, and says what is wrong with each. It
//! connects to nothing and changes nothing.

use std::path::PathBuf;

use crate::clock::Clock;

use super::{Ending, complain, load, print};

pub(super) fn check(files: Vec<PathBuf>) -> Ending {
    let mut ending = Ending::Well;
    for file in files {
        match load(&file) {
            Ok(config) => {
                for warning in config.warnings(Clock::system().now()) {
                    complain(&format!("{}: {warning}", file.display()));
                }
                print(&format!("{}: all is well\n", file.display()));
            }
            Err(errors) => {
                complain(&errors);
                ending = Ending::BadInput;
            }
        }
    }
    ending
}
