//! The program as an operator uses it: its commands and its outputs.

mod commands;
mod outputs;
