//! `hardline demo`: no hardware needed.

use crate::cli::{Common, DemoArgs};
use crate::error::Failure;

/// placeholder
pub fn run(_: &Common, _: &DemoArgs) -> Result<(), Failure> {
    Ok(())
}
