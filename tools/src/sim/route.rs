//! Who hears what an end sends: the far end, and where the line is not what it should be, itself or a stranger.
//!
//! Ends are counted: a and b of the first wire are 0 and 1, those of the second 2 and 3.

use std::time::Duration;

use crate::cli::{SimArgs, SimEnd, Span, Turn};

/// The way of the lines.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Ends that hear themselves beside the others.
    echoes: [bool; 4],
    /// Lines that are turned round: which wire, and how.
    turns: Vec<(usize, Turn)>,
    /// When the far ends of both wires are exchanged.
    swaps: Vec<Span>,
}

fn within(span: &Span, at: Duration) -> bool {
    span.start <= at && at < span.start.saturating_add(span.length)
}

impl Route {
    /// As the arguments have it, the same for both wires.
    pub fn new(args: &SimArgs) -> Route {
        let mut route = Route { swaps: args.swap.clone(), ..Route::default() };
        for wire in [0, 1] {
            route.turns.extend(args.turn.iter().map(|&turn| (wire, turn)));
            if let Some(end) = args.echo {
                route.set_echo(wire, end.sides());
            }
        }
        route
    }
    /// Which ends of a wire hear themselves as well from now on.
    pub fn set_echo(&mut self, wire: usize, sides: [bool; 2]) {
        self.echoes[2 * wire..][..2].copy_from_slice(&sides);
    }
    /// A wire is turned round.
    pub fn turn(&mut self, wire: usize, end: SimEnd, span: Span) {
        self.turns.push((wire, Turn { span, end }));
    }
    /// The far ends of both wires are exchanged.
    pub fn swap(&mut self, span: Span) {
        self.swaps.push(span);
    }
    /// The end at the other side of a line, turned round or not.
    pub fn partner(&self, end: usize, at: Duration) -> usize {
        // a and b of another wire differ in both bits
        end ^ if self.swaps.iter().any(|span| within(span, at)) { 3 } else { 1 }
    }
    fn turned(&self, end: usize, at: Duration) -> Option<SimEnd> {
        self.turns.iter().find(|(wire, turn)| *wire == end / 2 && within(&turn.span, at)).map(|(_, turn)| turn.end)
    }
    /// Whether `to` hears what `from` sends.
    pub fn hears(&self, from: usize, to: usize, at: Duration) -> bool {
        match (self.turned(from, at), self.turned(to, at)) {
            (Some(end), _) => from == to && end.sides()[from % 2],
            (None, Some(_)) => false,
            (None, None) => to == self.partner(from, at) || from == to && self.echoes[from],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64, length: u64) -> Span {
        Span { start: Duration::from_secs(start), length: Duration::from_secs(length) }
    }
    fn hearers(route: &Route, from: usize, at: u64) -> Vec<usize> {
        (0..4).filter(|&to| route.hears(from, to, Duration::from_secs(at))).collect()
    }

    #[test]
    fn a_line_leads_to_its_other_end() {
        assert_eq!([0, 1, 2, 3].map(|from| hearers(&Route::default(), from, 5)), [[1], [0], [3], [2]]);
    }

    #[test]
    fn an_echo_is_heard_beside_it() {
        let mut route = Route::default();
        route.set_echo(0, [true, false]);
        assert_eq!([0, 1, 2].map(|from| hearers(&route, from, 5)), [vec![0, 1], vec![0], vec![3]]);
    }

    #[test]
    fn a_line_that_is_turned_round_leads_back() {
        let mut route = Route::default();
        route.turn(0, SimEnd::Both, span(2, 2));
        route.turn(0, SimEnd::B, span(6, 2));
        assert_eq!([1, 2, 3, 4].map(|at| hearers(&route, 0, at)), [[1], [0], [0], [1]]);
        assert_eq!([0, 1].map(|from| hearers(&route, from, 3)), [[0], [1]]);
        assert_eq!([0, 1].map(|from| hearers(&route, from, 7)), [vec![], vec![1]]);
        assert_eq!(hearers(&route, 2, 3), [3], "the other wire");
    }

    #[test]
    fn wires_are_exchanged_and_put_right() {
        let mut route = Route::default();
        route.swap(span(1, 1));
        assert_eq!([0, 1, 2].map(|at| hearers(&route, 0, at)), [[1], [3], [1]]);
        assert_eq!([0, 1, 2, 3].map(|from| hearers(&route, from, 1)), [[3], [2], [1], [0]]);
        route.turn(1, SimEnd::Both, span(1, 1));
        assert_eq!([0, 2].map(|from| hearers(&route, from, 1)), [vec![], vec![2]]);
    }
}
