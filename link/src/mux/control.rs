//! What is said of channels beside their data, and what one transmission carried of it.

use super::send::Piece;
use crate::bond::PATHS_MAX;

/// Something one end tells the other beside the streams of a channel. Of each kind the latest counts;
/// all of them arrive before the end of the channel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// How the user at that end has ended: exit code, or 256 and the signal.
    Status,
    /// A signal for the user at the other end.
    Signal,
    /// The size of the terminal: rows x 65536 + columns.
    Size,
    /// A break on a serial line, and how many there were.
    Break,
}

impl Note {
    pub(crate) const ALL: [Note; 4] = [Note::Status, Note::Signal, Note::Size, Note::Break];

    /// The number on the wire.
    pub const fn to_wire(self) -> u8 {
        self as u8 + 1
    }
    /// The kind with this number; later versions may have others.
    pub fn from_wire(n: u8) -> Option<Note> {
        Note::ALL.get(usize::from(n).checked_sub(1)?).copied()
    }
}

/// What a segment can say of a channel beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Control {
    Begin,
    Accept,
    Reset,
    Window,
    Note(Note),
    Done,
    /// Of a path: see [`Mux::skips`].
    Skip,
}

impl Control {
    pub(super) const ALL: [Control; 9] = [
        Control::Begin,
        Control::Accept,
        Control::Reset,
        Control::Window,
        Control::Note(Note::Status),
        Control::Note(Note::Signal),
        Control::Note(Note::Size),
        Control::Note(Note::Break),
        Control::Done,
    ];

    pub(super) const fn bit(self) -> u16 {
        match self {
            Control::Begin => 1,
            Control::Accept => 1 << 1,
            Control::Reset => 1 << 2,
            Control::Window => 1 << 3,
            Control::Done => 1 << 4,
            Control::Note(note) => 1 << (5 + note as u16),
            Control::Skip => 0,
        }
    }
}

/// What one transmission carried: at most one control and one piece of data.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Load {
    pub(crate) control: Option<(u16, Control)>,
    pub(crate) piece: Option<(u16, Piece)>,
}

impl Load {
    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_none() && self.piece.is_none()
    }
}

/// What became of SKIPs. Of those about one path the latest order counts, for what becomes of an older one says
/// nothing of it.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Skips {
    orders: u16,
    /// The latest about each path, until it is answered.
    latest: [Option<u16>; PATHS_MAX],
    /// A bit for each path.
    arrived: u8,
    lost: u8,
}

impl Skips {
    /// The number of a new order about this path.
    pub(crate) fn order(&mut self, path: usize) -> u16 {
        self.orders = self.orders.wrapping_add(1);
        self.latest[path] = Some(self.orders);
        self.orders
    }
    /// What was ordered is about a peer that is gone.
    pub(super) fn forget(&mut self) {
        *self = Skips { orders: self.orders, ..Skips::default() };
    }
    pub(crate) fn answer(&mut self, order: u16, arrived: bool) {
        if let Some(path) = self.latest.iter().position(|latest| *latest == Some(order)) {
            self.latest[path] = None;
            *(if arrived { &mut self.arrived } else { &mut self.lost }) |= 1 << path;
        }
    }
    /// The paths about which a SKIP has arrived, or was lost, since this was asked.
    pub(crate) fn take(&mut self) -> (u8, u8) {
        (core::mem::take(&mut self.arrived), core::mem::take(&mut self.lost))
    }
}
