//! From a state that was reached: a good wire, willing users, true time. Both ends must come to an end.

use crate::user::Over;
use crate::world::World;

/// How long it may take, in grace times, and in steps.
const GRACES: u64 = 40;
const STEPS: usize = 20_000;
/// Frames that may pass once all is said.
const LAST: usize = 200;
/// How often an end that was lost is started anew.
const RESTARTS: u8 = 3;

/// Says what is wrong, if it is.
pub fn drive(mut world: World) -> Result<(), String> {
    let until = world.now.after(GRACES * world.case.grace_us());
    for end in &mut world.ends {
        (end.user.stalled, end.user.late) = (false, false);
    }
    let mut restarts = [0u8; 2];
    for _ in 0..STEPS {
        for (end, restarts) in restarts.iter_mut().enumerate() {
            // a peer that still wants something gets one anew
            let wanted = !world.ends[1 - end].gone && world.ends[1 - end].user.over != Over::Finished;
            let lost = world.ends[end].user.over == Over::Lost || world.ends[end].has_ended();
            if wanted && lost && !world.ends[end].gone {
                if *restarts == RESTARTS {
                    return Err(format!("LOST AGAIN: {} on a good wire", world.ends[end].user.name()));
                }
                *restarts += 1;
                world.restart(end);
                world.ends[end].user.late = false;
            }
        }
        if (0..2).all(|end| is_settled(&world, end)) {
            return hush(world);
        }
        if world.now > until {
            break;
        }
        world.go_on().map_err(|why| format!("{why} (on a good wire)"))?;
    }
    let states = world.ends.each_ref().map(|end| format!("{} {:?} {:?}", end.user.name(), end.link.state(), end.user));
    Err(format!("NEVER ENDS: {states:?}"))
}

/// Ends that are over do not talk for ever.
fn hush(mut world: World) -> Result<(), String> {
    let now = world.now;
    for _ in 0..LAST {
        if world.is_quiet() || world.now > now {
            return Ok(());
        }
        world.go_on().map_err(|why| format!("{why} (on a good wire)"))?;
    }
    Err("NEVER QUIET: ends that are over go on talking".into())
}

/// It has come to its end, or calls for a peer that has.
fn is_settled(world: &World, end: usize) -> bool {
    let (me, peer) = (&world.ends[end], &world.ends[1 - end]);
    let without = (peer.gone || peer.user.over != Over::No) && world.is_alone(end);
    me.gone || me.user.over != Over::No || without
}
