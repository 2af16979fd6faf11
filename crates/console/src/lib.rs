//! The ops console: pages over the documents of `sluice-ops`, rendered in Rust, live by polled
//! fragments.
//!
//! [`serve`] answers on a loopback listener for one person: [`guard`] lets requests in, [`routes`]
//! names the addresses, a
//! [`page`] is a pure function of a document, and [`ops::Ops`] is who has the documents. Nothing
//! here knows AWS, reads a clock
//! but to say how old something is, or shows a byte of a vendor's without [`text`].
//!
//! Every state of a page is in its address. An address that ends in `.json` answers with the page's
//! document.

pub mod assets;
pub mod cache;
pub mod chart;
pub mod component;
pub mod door;
pub mod guard;
pub mod json;
pub mod layout;
pub mod ops;
pub mod page;
pub mod raw;
pub mod routes;
pub mod server;
pub mod text;
pub mod view;

pub use routes::{router, serve};
pub use server::{App, Config};
