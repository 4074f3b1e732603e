//! Bounds on clients' commands.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

/// Fields of a form. One is used; a longer form is an attack.
pub(in crate::native) const FORM_FIELDS_MAX: usize = 64;
