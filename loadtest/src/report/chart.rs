//! One picture: lines over two axes, as SVG that takes its colours from the page around it.
//!
//! It needs no script and no font of its own. Points that are not finite are left out, and a chart of no points says so instead of
//! drawing empty axes. Pointing at a line names the value there, by the `title` that every browser shows.

use std::fmt::Write as _;

use super::html::escape;
use super::scale::Scale;
use super::spell;

/// A picture of one or more lines.
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: String,
    /// What its axes do not say; may be empty.
    pub(super) note: String,
    /// Left to right.
    pub(super) x: Axis,
    /// Bottom to top.
    pub(super) y: Axis,
    /// What is drawn.
    pub(super) lines: Vec<Line>,
}

/// What an axis means.
pub(super) struct Axis {
    /// Quantity and unit.
    pub(super) label: String,
    /// Where values stand.
    pub(super) scale: Scale,
}

/// One line of a chart.
pub(super) struct Line {
    /// Told apart by this where there are several.
    pub(super) name: String,
    /// In the order in which they are joined.
    pub(super) points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub(super) shape: Shape,
}

/// How the points of a line are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Joined.
    Curve,
    /// Joined, and filled down to the axis.
    Area,
    /// Joined faintly, and each a dot.
    Dots,
}

impl Chart {
    /// The picture as a `figure`.
    pub(super) fn figure(&self) -> String {
        let mut out = format!("<figure><figcaption><b>{}</b>", escape(&self.title));
        if !self.note.is_empty() {
            let _ = write!(out, " <span>{}</span>", escape(&self.note));
        }
        out.push_str("</figcaption>");
        out.push_str(&self.legend());
        out.push_str(&self.svg());
        out.push_str("</figure>\n");
        out
    }

    /// Names of the lines; one line needs none.
    fn legend(&self) -> String {
        if self.lines.len() < 2 {
            return String::new();
        }
        let mut out = "<ul class=\"legend\">".to_owned();
        for (n, line) in self.lines.iter().enumerate() {
            let _ = write!(out, "<li class=\"s{}\">{}</li>", n % COLOURS, escape(&line.name));
        }
        out + "</ul>"
    }

    fn svg(&self) -> String {
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escape(&format!("{}: {} over {}", self.title, self.y.label, self.x.label))
        );
        let drawn: Vec<Vec<(f64, f64)>> = self.lines.iter().map(|line| finite(&line.points)).collect();
        if drawn.iter().all(Vec::is_empty) {
            let _ = writeln!(
                out,
                "<text class=\"none\" x=\"{}\" y=\"{}\">nothing to draw</text>",
                WIDTH / 2.0,
                HEIGHT / 2.0
            );
        } else {
            self.axes(&mut out);
            for (n, (line, points)) in self.lines.iter().zip(&drawn).enumerate() {
                let _ = writeln!(out, "<g class=\"s{}\">", n % COLOURS);
                self.line(&mut out, line, points);
                out.push_str("</g>\n");
            }
        }
        out.push_str("</svg>");
        out
    }

    fn axes(&self, out: &mut String) {
        for (value, label) in self.y.scale.ticks() {
            let y = self.down(value);
            let _ = writeln!(out, "<path class=\"grid\" d=\"M{LEFT:.0} {y:.1}H{RIGHT:.0}\"/>");
            let _ =
                writeln!(out, "<text class=\"y\" x=\"{}\" y=\"{:.1}\">{label}</text>", LEFT - 8.0, y + 4.0);
        }
        for (value, label) in self.x.scale.ticks() {
            let x = self.across(value);
            let _ = writeln!(out, "<path class=\"grid\" d=\"M{x:.1} {TOP:.0}V{BOTTOM:.0}\"/>");
            let _ = writeln!(out, "<text class=\"x\" x=\"{x:.1}\" y=\"{}\">{label}</text>", BOTTOM + 17.0);
        }
        let _ = writeln!(out, "<path class=\"axis\" d=\"M{LEFT:.0} {BOTTOM:.0}H{RIGHT:.0}\"/>");
        let (x_label, y_label) = (escape(&self.x.label), escape(&self.y.label));
        let _ =
            writeln!(out, "<text class=\"label end\" x=\"{RIGHT}\" y=\"{}\">{x_label}</text>", HEIGHT - 6.0);
        let _ = writeln!(out, "<text class=\"label\" x=\"4\" y=\"14\">{y_label}</text>");
    }

    fn line(&self, out: &mut String, line: &Line, points: &[(f64, f64)]) {
        let places: Vec<(f64, f64)> =
            thinned(points, POINTS_MAX).iter().map(|(x, y)| (self.across(*x), self.down(*y))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let path = path.join("L");
        if let (Shape::Area, Some((first, _)), Some((last, _))) = (line.shape, places.first(), places.last())
        {
            let _ =
                writeln!(out, "<path class=\"area\" d=\"M{first:.1} {BOTTOM}L{path}L{last:.1} {BOTTOM}Z\"/>");
        }
        if places.len() > 1 {
            let class = if line.shape == Shape::Dots { "line faint" } else { "line" };
            let _ = writeln!(out, "<path class=\"{class}\" d=\"M{path}\"/>");
        }
        let seen = line.shape == Shape::Dots || points.len() < FEW;
        let class = if seen { "dot" } else { "spot" };
        for (x, y) in thinned(points, SPOTS_MAX) {
            let at = format!("cx=\"{:.1}\" cy=\"{:.1}\"", self.across(x), self.down(y));
            let _ = writeln!(
                out,
                "<circle class=\"{class}\" {at} r=\"{}\"><title>{}</title></circle>",
                if seen { 3 } else { 8 },
                escape(&self.said(line, x, y))
            );
        }
    }

    /// What pointing at a point shows.
    fn said(&self, line: &Line, x: f64, y: f64) -> String {
        let x = match self.x.scale {
            // 99.99 must not be rounded to 100.
            Scale::Nines { .. } => format!("{x:.4}").trim_end_matches('0').trim_end_matches('.').to_owned(),
            Scale::Linear { .. } | Scale::Log { .. } => spell::number(x),
        };
        let name = if self.lines.len() < 2 { String::new() } else { format!("{}\n", line.name) };
        format!("{name}{}: {}\n{}: {x}", self.y.label, spell::number(y), self.x.label)
    }

    fn across(&self, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (RIGHT - LEFT)
    }

    fn down(&self, value: f64) -> f64 {
        BOTTOM - self.y.scale.place(value) * (BOTTOM - TOP)
    }
}

fn finite(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
}

/// At most about `max` of the points, evenly, the first and the last among them.
fn thinned(points: &[(f64, f64)], max: usize) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(max).max(1);
    let mut kept: Vec<(f64, f64)> = points.iter().copied().step_by(step).collect();
    if let Some(last) = points.last().filter(|_| points.len() % step != 1 && step > 1) {
        kept.push(*last);
    }
    kept
}

/// The page knows so many colours that can be told apart.
const COLOURS: usize = 6;

/// The drawing's size in its own units; the page scales it.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;

/// The place of the axes in it: room for labels such as `1,000,000` on the left.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 608.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 250.0;

/// More would not be seen, and make a soak test's page large.
const POINTS_MAX: usize = 600;

/// Places that say their value when pointed at.
const SPOTS_MAX: usize = 80;

/// So few points are shown as dots, too: a line of two says little.
const FEW: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)], shape: Shape) -> Chart {
        let axis = |of: fn(&(f64, f64)) -> f64| Axis {
            label: "a & b".to_owned(),
            scale: Scale::linear(points.iter().map(of)),
        };
        let line = Line { name: "<one>".to_owned(), points: points.to_vec(), shape };
        let (x, y) = (axis(|point| point.0), axis(|point| point.1));
        Chart { title: "t".to_owned(), note: String::new(), x, y, lines: vec![line] }
    }

    fn count(chart: &Chart, what: &str) -> usize {
        chart.figure().matches(what).count()
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        let none = chart(&[], Shape::Area);
        assert_eq!(
            (count(&none, "nothing to draw"), count(&none, "<path"), count(&none, "<circle")),
            (1, 0, 0)
        );
    }

    #[test]
    fn one_point_is_a_dot_and_two_are_a_line() {
        for shape in [Shape::Curve, Shape::Area, Shape::Dots] {
            let one = chart(&[(1.0, 2.0)], shape);
            assert_eq!((count(&one, "<circle"), count(&one, "class=\"line")), (1, 0));
            let two = chart(&[(1.0, 2.0), (2.0, 3.0)], shape);
            assert_eq!((count(&two, "<circle"), count(&two, "class=\"line")), (2, 1));
        }
    }

    #[test]
    fn points_that_are_not_finite_are_left_out() {
        let odd = [(0.0, f64::NAN), (f64::INFINITY, 1.0), (1.0, 2.0), (f64::NEG_INFINITY, f64::NAN)];
        let figure = chart(&odd, Shape::Curve).figure();
        assert_eq!(figure.matches("<circle").count(), 1);
        assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure}");
    }

    #[test]
    fn a_long_run_makes_no_large_page() {
        let many: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), f64::from(n % 7))).collect();
        let figure = chart(&many, Shape::Area).figure();
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
        let mut two = chart(&[(1.0, 2.0)], Shape::Curve);
        assert_eq!(count(&two, "legend"), 0);
        two.lines.push(Line { name: "\"two\"".to_owned(), points: vec![], shape: Shape::Curve });
        let figure = two.figure();
        assert!(
            figure.contains("&lt;one&gt;")
                && figure.contains("&quot;two&quot;")
                && figure.contains("a &amp; b")
        );
        assert!(!figure.contains("<one>"));
    }
}
