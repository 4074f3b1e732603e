//! A hierarchical timing wheel: arming, cancelling and expiring cost O(1), however many timers
//! there are.
//!
//! Time is counted in units of [`UNIT_MS`]; deadlines are rounded up to one, so that timers which
//! fall close together fire in one wake-up. A timer never fires early. The wheel does not re-arm:
//! its users keep their real deadline beside the key and re-arm lazily when a timer fires too soon
//! (see [`super::alarm`]).

use super::limits::TIMERS_SPREAD_MAX;
use super::slab::{Slab, SlabKey, TimerKey};
use super::ticks::Tick;

/// Milliseconds a unit of the wheel. Coarse on purpose: at 10,000 heartbeats in 25 s, it lets 6
/// share a wake-up.
pub const UNIT_MS: u64 = 16;

/// 64^6 units of 16 ms are 34 years from the node's start; nothing is armed beyond.
const LEVELS: usize = 6;
const FARTHEST: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - 1;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const NONE: u32 = u32::MAX;

/// Timers that each carry a `T`.
#[derive(Debug)]
pub struct Wheel<T> {
    /// Units that have passed.
    elapsed: u64,
    timers: Slab<TimerKey, WheelEntry<T>>,
    /// Heads of the slots' lists: slab indices.
    heads: Box<[[u32; SLOTS]; LEVELS]>,
    /// One bit for each slot with a list.
    occupied: [u64; LEVELS],
    /// A slot that has begun and is not yet fully redistributed: level and slot.
    spreading: Option<(usize, usize)>,
}

#[derive(Debug)]
struct WheelEntry<T> {
    /// The unit at which it is due, in 48 bits: each connection has an entry, which a whole word
    /// would lengthen by eight bytes.
    due_low: u32,
    due_high: u16,
    value: T,
    prev: u32,
    next: u32,
    level: u8,
    slot: u8,
}

impl<T> WheelEntry<T> {
    fn due(&self) -> u64 {
        u64::from(self.due_high) << 32 | u64::from(self.due_low)
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self {
            elapsed: 0,
            timers: Slab::default(),
            heads: Box::new([[NONE; SLOTS]; LEVELS]),
            occupied: [0; LEVELS],
            spreading: None,
        }
    }
}

impl<T> Wheel<T> {
    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Arms a timer for `due`, rounded up to the wheel's unit, and for 34 years of uptime at the
    /// latest.
    pub fn arm(&mut self, due: Tick, value: T) -> TimerKey {
        let due = due.as_millis().div_ceil(UNIT_MS).min(FARTHEST);
        let key = self.timers.insert(WheelEntry {
            due_low: due as u32,
            due_high: (due >> 32) as u16,
            value,
            prev: NONE,
            next: NONE,
            level: 0,
            slot: 0,
        });
        self.link(key);
        key
    }

    /// Disarms a timer and returns its value, unless it has fired.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.timers.get(key)?;
        self.unlink(key);
        self.timers.remove(key).map(|timer| timer.value)
    }

    /// When an armed timer will fire.
    pub fn due(&self, key: TimerKey) -> Option<Tick> {
        self.timers.get(key).map(|timer| Tick::from_millis(timer.due() * UNIT_MS))
    }

    /// Removes one timer that is due at `now`; call it until it returns `None`. If due timers
    /// remain then, because many had to be redistributed first, [`Wheel::next_deadline`] is not
    /// later than `now`.
    pub fn expire(&mut self, now: Tick) -> Option<T> {
        let now = (now.as_millis() / UNIT_MS).min(FARTHEST);
        while let Some((level, slot, start)) = self.earliest_slot() {
            if start > now {
                break;
            }
            self.elapsed = self.elapsed.max(start);
            let Some(key) = self.timers.key_at(self.heads[level][slot]) else { break };
            if level == 0 {
                self.unlink(key);
                return self.timers.remove(key).map(|timer| timer.value);
            }
            self.cascade(level, slot);
            if self.spreading.is_some() {
                return None;
            }
        }
        self.elapsed = self.elapsed.max(now);
        None
    }

    /// When [`Wheel::expire`] is worth calling next. Never later than the earliest timer; it may be
    /// earlier.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.earliest_slot().map(|(_, _, start)| Tick::from_millis(start * UNIT_MS))
    }

    /// The occupied slot that begins first, with its beginning. Slots of a lower level all begin
    /// before those of a higher one, since a timer's level is the highest digit in which it differs
    /// from `elapsed`.
    fn earliest_slot(&self) -> Option<(usize, usize, u64)> {
        if let Some((level, slot)) = self.spreading
            && self.occupied[level] & (1 << slot) != 0
        {
            return Some((level, slot, self.elapsed));
        }
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        let shift = level as u32 * SLOT_BITS;
        let current = (self.elapsed >> shift) as u32 & (SLOTS as u32 - 1);
        let ahead = self.occupied[level].rotate_right(current).trailing_zeros();
        let slot = (current + ahead) % SLOTS as u32;
        let start = ((self.elapsed >> shift) + u64::from(ahead)) << shift;
        Some((level, slot as usize, start.max(self.elapsed)))
    }

    /// Redistributes a slot that has begun over the levels below, a bounded part at a time to avoid
    /// a stall. Until it is empty, no other slot is processed: its rest would be hidden behind
    /// lower slots that begin later. No timer is added to it meanwhile, because a timer's slot is
    /// never the current one of its level.
    fn cascade(&mut self, level: usize, slot: usize) {
        for _ in 0..TIMERS_SPREAD_MAX {
            let Some(key) = self.timers.key_at(self.heads[level][slot]) else { break };
            self.unlink(key);
            self.link(key);
        }
        let is_left = self.occupied[level] & (1 << slot) != 0;
        self.spreading = is_left.then_some((level, slot));
    }

    fn link(&mut self, key: TimerKey) {
        let timer = &mut self.timers[key];
        let at = timer.due().max(self.elapsed);
        let differs = ((at ^ self.elapsed) | (SLOTS as u64 - 1)).ilog2();
        let level = (differs / SLOT_BITS) as usize;
        let slot = (at >> (level as u32 * SLOT_BITS)) as usize & (SLOTS - 1);
        let head = self.heads[level][slot];
        (timer.level, timer.slot) = (level as u8, slot as u8);
        (timer.prev, timer.next) = (NONE, head);
        if let Some(second) = self.timers.key_at(head) {
            self.timers[second].prev = key.index();
        }
        self.heads[level][slot] = key.index();
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, key: TimerKey) {
        let WheelEntry { prev, next, level, slot, .. } = self.timers[key];
        let (level, slot) = (usize::from(level), usize::from(slot));
        match self.timers.key_at(prev) {
            Some(before) => self.timers[before].next = next,
            None => self.heads[level][slot] = next,
        }
        if let Some(after) = self.timers.key_at(next) {
            self.timers[after].prev = prev;
        }
        if self.heads[level][slot] == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fired(wheel: &mut Wheel<u64>, now: u64) -> Vec<u64> {
        let mut out: Vec<_> = std::iter::from_fn(|| wheel.expire(Tick::from_millis(now))).collect();
        out.sort_unstable();
        out
    }

    #[test]
    fn nothing_fires_early_and_all_fires_in_its_unit() {
        let mut wheel = Wheel::default();
        for due in [0, 1, 15, 16, 17, 1_000, 25_000, 110_000, 86_400_000] {
            wheel.arm(Tick::from_millis(due), due);
        }
        assert_eq!(fired(&mut wheel, 0), [0]);
        assert_eq!(fired(&mut wheel, 15), Vec::<u64>::new());
        assert_eq!(fired(&mut wheel, 16), [1, 15, 16]);
        assert_eq!(fired(&mut wheel, 24_999), [17, 1_000]);
        assert_eq!(fired(&mut wheel, 25_008), [25_000]);
        assert_eq!(fired(&mut wheel, 86_399_999), [110_000]);
        assert_eq!(fired(&mut wheel, 86_400_000), [86_400_000]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_timer_beyond_the_farthest_slot_is_brought_back_to_it() {
        let mut wheel = Wheel::default();
        wheel.arm(Tick::from_millis(u64::MAX), 1);
        assert_eq!(fired(&mut wheel, (FARTHEST - 1) * UNIT_MS), Vec::<u64>::new());
        assert_eq!(fired(&mut wheel, u64::MAX), [1]);
    }

    #[test]
    fn a_full_slot_is_spread_in_parts_and_loses_none_of_its_timers() {
        let mut wheel = Wheel::default();
        let count = TIMERS_SPREAD_MAX as u64 * 3;
        // All in one slot of the third level, which begins after 65.5 s.
        let keys: Vec<_> = (0..count).map(|id| wheel.arm(Tick::from_millis(70_000 + id), id)).collect();
        let now = 70_000 + count;
        let mut rounds = 0;
        let mut all = Vec::new();
        while wheel.next_deadline().is_some_and(|due| due <= Tick::from_millis(now)) {
            if rounds == 1 {
                assert!(wheel.cancel(keys[0]).is_some() && wheel.cancel(keys[count as usize - 1]).is_some());
                wheel.arm(Tick::from_millis(now + 100), count);
            }
            all.extend(fired(&mut wheel, now));
            rounds += 1;
        }
        assert!(rounds >= 3, "{rounds}");
        assert_eq!(all.len() as u64, count - 2);
        assert_eq!(fired(&mut wheel, now + 200), [count]);
        assert!(wheel.is_empty());
    }

    proptest! {
        /// The wheel's slow, obvious twin: a list that is searched.
        #[test]
        fn it_agrees_with_a_sorted_list(steps in prop::collection::vec((0u64..3, 0u64..300_000), 1..200)) {
            let mut wheel = Wheel::default();
            let mut twin: Vec<(u64, u64, TimerKey)> = Vec::new();
            let mut now = 0;
            for (id, (what, amount)) in (0u64..).zip(steps) {
                match what {
                    0 => twin.push(((now + amount).div_ceil(UNIT_MS) * UNIT_MS, id, wheel.arm(Tick::from_millis(now + amount), id))),
                    1 if !twin.is_empty() => {
                        let (_, id, key) = twin.swap_remove(amount as usize % twin.len());
                        prop_assert_eq!(wheel.cancel(key), Some(id));
                        prop_assert_eq!(wheel.cancel(key), None);
                    }
                    _ => {
                        now += amount;
                        let mut due: Vec<_> = twin.iter().filter(|t| t.0 <= now).map(|t| t.1).collect();
                        due.sort_unstable();
                        twin.retain(|t| t.0 > now);
                        prop_assert_eq!(fired(&mut wheel, now), due);
                    }
                }
                prop_assert_eq!(wheel.len(), twin.len());
                let earliest = twin.iter().map(|t| t.0).min();
                prop_assert_eq!(wheel.next_deadline().is_some(), earliest.is_some());
                prop_assert!(wheel.next_deadline() <= earliest.map(Tick::from_millis));
            }
        }
    }
}
