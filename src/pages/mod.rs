//! What a browser sees: the files of the interactive documentation, and the first page.
//!
//! The files are in a folder that a variable of the environment names: a layer of the function, or the
//! folder `layer/docs` of the sources. A cold start does not read them; each is read when it is first asked
//! for, and then kept.
//!
//! It must not know HTTP, tenants or the table.

mod docs;
mod home;

pub use docs::{Docs, File};
pub use home::{Links, STYLE_HASH};
