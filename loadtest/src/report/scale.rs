//! Maps values to positions on an axis, and chooses the values that get a tick.

use super::format;

/// The scale of an axis: maps a range of values to 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    /// From 0 to `to`, ticks at `step`.
    Linear {
        /// The right or upper end.
        to: f64,
        /// Between two ticks.
        step: f64,
    },
    /// Powers of ten.
    Log {
        /// The exponent of the left or lower end.
        from: f64,
        /// The exponent of the other end.
        to: f64,
    },
    /// Percentages; each further nine takes the same space.
    Nines {
        /// How many nines there are at the right end.
        to: f64,
    },
}

impl Scale {
    /// From zero to a round number at or above the largest value. Negative values lie at zero.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let max = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        if max <= 0.0 {
            return Self::Linear { to: 1.0, step: 0.5 };
        }
        let step = round_step(max / TICKS);
        Self::Linear { to: (max / step).ceil() * step, step }
    }

    /// From zero to exactly the largest value: for time, where nothing follows the end.
    pub(super) fn until(values: impl Iterator<Item = f64>) -> Self {
        let max = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        if max <= 0.0 {
            Self::Linear { to: 1.0, step: 0.5 }
        } else {
            Self::Linear { to: max, step: round_step(max / (2.0 * TICKS)) }
        }
    }

    /// Linear, or powers of ten where a linear axis would hide the smallest value.
    pub(super) fn fitting(values: impl Iterator<Item = f64> + Clone) -> Self {
        let positive = values.clone().filter(|value| value.is_finite() && *value > 0.0);
        let (min, max) = positive.fold((f64::MAX, 0.0), |(min, max), value| (value.min(min), value.max(max)));
        if max <= min * LINEAR_RATIO_MAX {
            return Self::linear(values);
        }
        Self::Log { from: min.log10().floor(), to: max.log10().ceil() }
    }

    /// To beyond the last percentage below 100, so that 100 has a position of its own at the end.
    pub(super) fn nines(percentages: impl Iterator<Item = f64>) -> Self {
        let below = percentages.filter(|percentage| percentage.is_finite() && *percentage < 100.0);
        Self::Nines { to: below.map(nines).fold(NINES_MIN, f64::max) + NINES_MARGIN }
    }

    /// 0 to 1; what lies outside is at the nearer end.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { to, .. } => value / to,
            Self::Log { from, to } => (value.max(f64::MIN_POSITIVE).log10() - from) / (to - from),
            Self::Nines { to } => nines(value) / to,
        };
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// The values that get a line and a label.
    pub(super) fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { to, step } => {
                let all = (0..TICKS_MAX).map(|n| f64::from(n) * step);
                all.take_while(|value| *value <= to * 1.0001)
                    .map(|value| (value, label(value, step)))
                    .collect()
            }
            Self::Log { from, to } => {
                let all = (0..TICKS_MAX).map(|n| from + f64::from(n)).take_while(|power| *power <= to);
                all.map(|power| (10_f64.powf(power), label(10_f64.powf(power), 10_f64.powf(power)))).collect()
            }
            Self::Nines { to } => {
                let nines = ["90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "99.99999 %"];
                let all =
                    (1..).zip(nines).map(|(n, text)| (100.0 - 100.0 * 0.1_f64.powi(n), text.to_owned()));
                let half = std::iter::once((50.0, "50 %".to_owned()));
                half.chain(all.take_while(|(value, _)| self::nines(*value) <= to + 1e-9)).collect()
            }
        }
    }
}

/// How many nines a percentage has: 0 at 0 %, 1 at 90 %, 2 at 99 %.
fn nines(percentage: f64) -> f64 {
    let rest = (1.0 - percentage / 100.0).clamp(1e-12, 1.0);
    // Never minus zero.
    0.0 - rest.log10()
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| *step >= least * 0.9999).unwrap_or(least)
}

/// A value with as many digits after the point as the step has.
fn label(value: f64, step: f64) -> String {
    let digits = if step >= 1.0 { 0 } else { (1..9).find(|n| step * 10_f64.powi(*n) >= 0.999).unwrap_or(9) };
    let digits = usize::try_from(digits).unwrap_or(0);
    format::group(&format!("{value:.digits$}"))
}

/// Nines of a percentile axis without data: up to about 80 %.
const NINES_MIN: f64 = 0.7;

/// Nines between the last percentage below 100 and the end of the axis.
const NINES_MARGIN: f64 = 0.3;

/// About how many ticks a linear axis has.
const TICKS: f64 = 5.0;

/// Most ticks of an axis: bounds the loops over floats.
const TICKS_MAX: u32 = 40;

/// Ratio above which the smaller value is less than a pixel or two high on a linear axis.
const LINEAR_RATIO_MAX: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(Scale::linear([3.0, 87.0].into_iter())), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(
            labels(Scale::linear([0.043].into_iter())),
            ["0.00", "0.01", "0.02", "0.03", "0.04", "0.05"]
        );
        assert_eq!(labels(Scale::fitting([0.2, 150.0].into_iter())), ["0.1", "1", "10", "100", "1,000"]);
        assert_eq!(labels(Scale::nines([99.95, 100.0].into_iter())), ["50 %", "90 %", "99 %", "99.9 %"]);
    }

    #[test]
    fn time_ends_where_the_run_does() {
        let scale = Scale::until([20.6].into_iter());
        assert_eq!((scale.place(20.6), labels(scale).len()), (1.0, 5));
    }

    #[test]
    fn each_nine_takes_the_same_space() {
        let scale = Scale::Nines { to: 3.0 };
        let places = [0.0, 90.0, 99.0, 99.9, 100.0].map(|value| scale.place(value));
        for (place, n) in places.iter().zip([0.0, 1.0, 2.0, 3.0, 3.0]) {
            assert!((place - n / 3.0).abs() < 1e-9, "{places:?}");
        }
    }

    #[test]
    fn every_value_has_a_position() {
        let odd = [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1.0, 0.0, 1e-300];
        for scale in
            [Scale::linear(odd.into_iter()), Scale::fitting(odd.into_iter()), Scale::nines(odd.into_iter())]
        {
            assert!(odd.iter().all(|value| (0.0..=1.0).contains(&scale.place(*value))), "{scale:?}");
            assert!(scale.ticks().len() <= TICKS_MAX as usize);
        }
    }

    #[test]
    fn an_axis_without_values_has_ticks() {
        let none = std::iter::empty::<f64>;
        assert!(
            [Scale::linear(none()), Scale::until(none()), Scale::fitting(none()), Scale::nines(none())]
                .iter()
                .all(|scale| scale.ticks().len() >= 2)
        );
    }
}
