//! The orders in which clients saw messages, as a graph: a cycle in it shows that no order suits
//! all clients.

/// The steps from one message to the next that clients saw.
#[derive(Debug)]
pub(super) struct Steps {
    /// The messages that follow each one, each with the index of the client that saw it so.
    after: Vec<Vec<(usize, usize)>>,
    sources: Vec<String>,
}

impl Steps {
    /// No steps yet, among `messages` messages.
    pub(super) fn among(messages: usize) -> Self {
        Self { after: vec![Vec::new(); messages], sources: Vec::new() }
    }

    /// A client, named by `source`, saw these messages in this order.
    pub(super) fn link(&mut self, list: &[usize], source: impl FnOnce() -> String) {
        if list.len() < 2 {
            return;
        }
        let who = self.sources.len();
        self.sources.push(source());
        for pair in list.windows(2) {
            let after = &mut self.after[pair[0]];
            if after.iter().all(|(to, _)| *to != pair[1]) {
                after.push((pair[1], who));
            }
        }
    }

    /// A cycle in the graph, if there is one, with the source of each step.
    pub(super) fn cycle(&self) -> Option<String> {
        let mut before = vec![0_usize; self.after.len()];
        self.after.iter().flatten().for_each(|(to, _)| before[*to] += 1);
        let mut free: Vec<usize> = (0..before.len()).filter(|node| before[*node] == 0).collect();
        while let Some(node) = free.pop() {
            for (to, _) in &self.after[node] {
                before[*to] -= 1;
                free.extend((before[*to] == 0).then_some(*to));
            }
        }
        // Each remaining message has another one before it, so going back leads into a cycle.
        let mut path = vec![before.iter().position(|count| *count > 0)?];
        let first = loop {
            let last = path[path.len() - 1];
            let earlier =
                (0..before.len()).find(|node| before[*node] > 0 && self.source(*node, last).is_some())?;
            let met = path.iter().position(|node| *node == earlier);
            path.push(earlier);
            if let Some(first) = met {
                break first;
            }
        };
        let steps = path[first..].windows(2).rev();
        let source = |pair: &[usize]| self.source(pair[1], pair[0]).unwrap_or_default().to_owned();
        let steps = steps.map(|pair| format!("{} before {}: {}", pair[1], pair[0], source(pair)));
        Some(steps.collect::<Vec<_>>().join("; "))
    }

    /// The first client that saw `from` right before `to`.
    fn source(&self, from: usize, to: usize) -> Option<&str> {
        let (_, who) = self.after[from].iter().find(|(after, _)| *after == to)?;
        Some(&self.sources[*who])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_described_by_its_own_steps_alone() {
        let mut steps = Steps::among(5);
        for from in 0..3 {
            steps.link(&[from, from + 1], || format!("w{from}"));
        }
        assert_eq!(steps.cycle(), None);
        steps.link(&[3, 1], || "w3".to_owned());
        steps.link(&[3, 1], || "w4".to_owned());
        assert_eq!(steps.cycle().as_deref(), Some("1 before 2: w1; 2 before 3: w2; 3 before 1: w3"));
        let mut twice = Steps::among(2);
        twice.link(&[1, 1], || "w".to_owned());
        assert_eq!(twice.cycle().as_deref(), Some("1 before 1: w"));
    }
}
