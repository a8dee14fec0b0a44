//! Conversations: how they are created and listed, their members, roles, names, settings, blocks, hidden read marks and
//! statistics.

mod blocks;
mod creation;
mod group_temp_ids;
mod hidden_read_marks;
mod members;
mod names;
mod roles;
mod settings;
mod statistics;
