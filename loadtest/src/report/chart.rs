//! One chart: lines over two axes, as SVG that takes its colours from the page's style.
//!
//! It needs no script and no font of its own. Points that are not finite are left out, and a chart
//! without points says so instead of drawing empty axes. Pointing at a line shows the value there,
//! through the `title` that every browser displays.

use maud::{Markup, html};

use super::format;
use super::scale::Scale;

/// A chart of one or more lines.
pub(super) struct Chart {
    /// Its title.
    pub(super) title: String,
    /// An explanation beyond the axes; may be empty.
    pub(super) note: String,
    /// Left to right.
    pub(super) x: Axis,
    /// Bottom to top.
    pub(super) y: Axis,
    /// The data.
    pub(super) lines: Vec<Line>,
}

/// The meaning of an axis.
pub(super) struct Axis {
    /// Quantity and unit.
    pub(super) label: String,
    /// Maps values to positions.
    pub(super) scale: Scale,
}

/// One line of a chart.
pub(super) struct Line {
    /// Shown in the legend if there are several lines.
    pub(super) name: String,
    /// In drawing order.
    pub(super) points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub(super) style: LineStyle,
}

/// How the points of a line are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LineStyle {
    /// Joined.
    Curve,
    /// Joined, and filled down to the axis.
    Area,
    /// Joined by a faint line, and each one a dot.
    Dots,
}

impl Chart {
    /// The chart as a `figure`.
    pub(super) fn figure(&self) -> Markup {
        html! {
            figure {
                figcaption {
                    b { (self.title) }
                    @if !self.note.is_empty() { " " span { (self.note) } }
                }
                // One line needs no legend.
                @if self.lines.len() > 1 {
                    ul class="legend" {
                        @for (n, line) in self.lines.iter().enumerate() {
                            li class=(colour(n)) { (line.name) }
                        }
                    }
                }
                (self.svg())
            }
        }
    }

    fn svg(&self) -> Markup {
        let drawn: Vec<Vec<(f64, f64)>> = self.lines.iter().map(|line| finite(&line.points)).collect();
        let label = format!("{}: {} over {}", self.title, self.y.label, self.x.label);
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
                @if drawn.iter().all(Vec::is_empty) {
                    text class="none" x=(WIDTH / 2.0) y=(HEIGHT / 2.0) { "nothing to draw" }
                } @else {
                    (self.axes())
                    @for (n, (line, points)) in self.lines.iter().zip(&drawn).enumerate() {
                        g class=(colour(n)) { (self.line(line, points)) }
                    }
                }
            }
        }
    }

    fn axes(&self) -> Markup {
        html! {
            @for (value, label) in self.y.scale.ticks() {
                @let y = self.y_of(value);
                path class="grid" d=(format!("M{LEFT:.0} {y:.1}H{RIGHT:.0}")) {}
                text class="y" x=(LEFT - LABEL_GAP) y=(tenths(y + LABEL_DROP)) { (label) }
            }
            @for (value, label) in self.x.scale.ticks() {
                @let x = self.x_of(value);
                path class="grid" d=(format!("M{x:.1} {TOP:.0}V{BOTTOM:.0}")) {}
                text class="x" x=(tenths(x)) y=(BOTTOM + LABEL_LINE) { (label) }
            }
            path class="axis" d=(format!("M{LEFT:.0} {BOTTOM:.0}H{RIGHT:.0}")) {}
            text class="label end" x=(RIGHT) y=(HEIGHT - LABEL_DROP) { (self.x.label) }
            text class="label" x=(LABEL_DROP) y=(LABEL_LINE) { (self.y.label) }
        }
    }

    fn line(&self, line: &Line, points: &[(f64, f64)]) -> Markup {
        let places: Vec<(f64, f64)> =
            thinned(points, POINTS_MAX).iter().map(|(x, y)| (self.x_of(*x), self.y_of(*y))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let path = path.join("L");
        let ends = places.first().zip(places.last()).filter(|_| line.style == LineStyle::Area);
        let class = if line.style == LineStyle::Dots { "line faint" } else { "line" };
        let has_dots = line.style == LineStyle::Dots || points.len() < FEW;
        let (dot, radius) = if has_dots { ("dot", DOT_RADIUS) } else { ("spot", SPOT_RADIUS) };
        html! {
            @if let Some(((first, _), (last, _))) = ends {
                path class="area" d=(format!("M{first:.1} {BOTTOM}L{path}L{last:.1} {BOTTOM}Z")) {}
            }
            @if places.len() > 1 { path class=(class) d={ "M" (path) } {} }
            @for (x, y) in thinned(points, SPOTS_MAX) {
                circle class=(dot) cx=(tenths(self.x_of(x))) cy=(tenths(self.y_of(y))) r=(radius) {
                    title { (self.values(line, x, y)) }
                }
            }
        }
    }

    /// The text shown when a point is pointed at.
    fn values(&self, line: &Line, x: f64, y: f64) -> String {
        let x = match self.x.scale {
            // 99.99 must not be rounded to 100.
            Scale::Nines { .. } => format!("{x:.4}").trim_end_matches('0').trim_end_matches('.').to_owned(),
            Scale::Linear { .. } | Scale::Log { .. } => format::number(x),
        };
        let name = if self.lines.len() < 2 { String::new() } else { format!("{}\n", line.name) };
        format!("{name}{}: {}\n{}: {x}", self.y.label, format::number(y), self.x.label)
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (RIGHT - LEFT)
    }

    fn y_of(&self, value: f64) -> f64 {
        BOTTOM - self.y.scale.place(value) * (BOTTOM - TOP)
    }
}

/// The class that gives the nth line its colour.
fn colour(n: usize) -> String {
    format!("s{}", n % COLOURS)
}

/// A coordinate as fine as a screen shows it.
fn tenths(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

fn finite(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
}

/// At most about `max` of the points at even distances, the first and the last among them.
fn thinned(points: &[(f64, f64)], max: usize) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(max).max(1);
    let mut kept: Vec<(f64, f64)> = points.iter().copied().step_by(step).collect();
    if let Some(last) = points.last().filter(|_| points.len() % step != 1 && step > 1) {
        kept.push(*last);
    }
    kept
}

/// Line colours in the page's style.
const COLOURS: usize = 6;

/// The drawing's size in its own units; the page scales it.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;

/// Where the axes lie in it: the left side has room for labels such as `1,000,000`.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 608.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 250.0;

/// The gap between a label and the axis beside it.
const LABEL_GAP: f64 = 8.0;

/// From a line of text to its middle, and from the drawing's edge to its labels.
const LABEL_DROP: f64 = 4.0;

/// The height of a line of labels.
const LABEL_LINE: f64 = 16.0;

/// The radius of a visible dot, and that of the larger area that reacts to the pointer.
const DOT_RADIUS: u32 = 3;
const SPOT_RADIUS: u32 = 8;

/// Points of a drawn line: more would be invisible, and would make a soak test's page large.
const POINTS_MAX: usize = 600;

/// Points of a line that show their value when pointed at.
const SPOTS_MAX: usize = 80;

/// Lines of fewer points also show dots: a line of two alone shows little.
const FEW: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)], style: LineStyle) -> Chart {
        let axis = |of: fn(&(f64, f64)) -> f64| Axis {
            label: "a & b".to_owned(),
            scale: Scale::linear(points.iter().map(of)),
        };
        let line = Line { name: "<one>".to_owned(), points: points.to_vec(), style };
        let (x, y) = (axis(|point| point.0), axis(|point| point.1));
        Chart { title: "t".to_owned(), note: String::new(), x, y, lines: vec![line] }
    }

    fn count(chart: &Chart, what: &str) -> usize {
        chart.figure().into_string().matches(what).count()
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        let none = chart(&[], LineStyle::Area);
        assert_eq!(
            (count(&none, "nothing to draw"), count(&none, "<path"), count(&none, "<circle")),
            (1, 0, 0)
        );
    }

    #[test]
    fn one_point_is_a_dot_and_two_are_a_line() {
        for style in [LineStyle::Curve, LineStyle::Area, LineStyle::Dots] {
            let one = chart(&[(1.0, 2.0)], style);
            assert_eq!((count(&one, "<circle"), count(&one, "class=\"line")), (1, 0));
            let two = chart(&[(1.0, 2.0), (2.0, 3.0)], style);
            assert_eq!((count(&two, "<circle"), count(&two, "class=\"line")), (2, 1));
        }
    }

    #[test]
    fn points_that_are_not_finite_are_left_out() {
        let odd = [(0.0, f64::NAN), (f64::INFINITY, 1.0), (1.0, 2.0), (f64::NEG_INFINITY, f64::NAN)];
        let figure = chart(&odd, LineStyle::Curve).figure().into_string();
        assert_eq!(figure.matches("<circle").count(), 1);
        assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure}");
    }

    #[test]
    fn a_long_run_makes_no_large_page() {
        let many: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), f64::from(n % 7))).collect();
        let figure = chart(&many, LineStyle::Area).figure().into_string();
        assert!(figure.len() < 50_000, "{}", figure.len());
        let kept = thinned(&many, 600);
        assert!(kept.len() <= 601 && kept.first() == many.first() && kept.last() == many.last());
    }

    #[test]
    fn thinning_keeps_all_of_few() {
        let few = [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)];
        assert_eq!(
            (thinned(&few, 3), thinned(&few, 2), thinned(&[], 2)),
            (few.to_vec(), vec![few[0], few[2]], vec![])
        );
    }

    #[test]
    fn names_are_escaped_and_several_lines_have_a_legend() {
        let mut two = chart(&[(1.0, 2.0)], LineStyle::Curve);
        assert_eq!(count(&two, "legend"), 0);
        two.lines.push(Line { name: "\"two\"".to_owned(), points: vec![], style: LineStyle::Curve });
        let figure = two.figure().into_string();
        assert!(
            figure.contains("&lt;one&gt;")
                && figure.contains("&quot;two&quot;")
                && figure.contains("a &amp; b")
        );
        assert!(!figure.contains("<one>"));
    }
}
