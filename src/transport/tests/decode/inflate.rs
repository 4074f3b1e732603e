//! Inflate (RFC 1951), slow and plain, which checks how far back it must look: a client that agreed
//! on a small window has no more.

/// A message without its last four bytes (RFC 7692, 7.2.2), from a sender that may look `window`
/// bytes back.
pub(super) fn message(bytes: &[u8], window: usize) -> Vec<u8> {
    let bytes = [bytes, &[0, 0, 0xff, 0xff]].concat();
    let mut bits = Bits { bytes: &bytes, at: 0 };
    let mut out = Vec::new();
    while bits.at < bytes.len() * 8 {
        let is_last = bits.take(1) == 1;
        match bits.take(2) {
            0 => stored(&mut bits, &mut out),
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                compressed(&mut bits, &Code::new(&lengths), &Code::new(&[5; 30]), window, &mut out);
            }
            2 => {
                let (literals, distances) = codes(&mut bits);
                compressed(&mut bits, &literals, &distances, window, &mut out);
            }
            _ => panic!("no such block"),
        }
        assert!(!is_last, "the message's last block is not the stream's");
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> usize {
        (0..count).fold(0, |value, place| {
            let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
            self.at += 1;
            value | usize::from(bit) << place
        })
    }
}

/// A canonical Huffman code: how many codes of each length, and the symbols in the codes' order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        for &length in lengths.iter().filter(|&&length| length > 0) {
            counts[usize::from(length)] += 1;
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for length in 1..16 {
            code |= bits.take(1);
            let count = self.counts[length];
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no such code")
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>) {
    bits.at = bits.at.next_multiple_of(8);
    let (len, check) = (bits.take(16), bits.take(16));
    assert_eq!(len ^ 0xffff, check, "a stored block's length");
    out.extend((0..len).map(|_| bits.take(8) as u8));
}

fn codes(bits: &mut Bits<'_>) -> (Code, Code) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, lengths) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut of_lengths = [0; 19];
    for &place in &ORDER[..lengths] {
        of_lengths[place] = bits.take(3) as u8;
    }
    let code = Code::new(&of_lengths);
    let mut all: Vec<u8> = Vec::new();
    while all.len() < literals + distances {
        let (length, times) = match code.read(bits) {
            16 => (*all.last().expect("one to repeat"), bits.take(2) + 3),
            17 => (0, bits.take(3) + 3),
            18 => (0, bits.take(7) + 11),
            length => (length as u8, 1),
        };
        all.extend(std::iter::repeat_n(length, times));
    }
    assert_eq!(all.len(), literals + distances, "lengths of codes");
    (Code::new(&all[..literals]), Code::new(&all[literals..]))
}

fn compressed(bits: &mut Bits<'_>, literals: &Code, distances: &Code, window: usize, out: &mut Vec<u8>) {
    loop {
        let symbol = literals.read(bits);
        if symbol < 256 {
            out.push(symbol as u8);
            continue;
        }
        if symbol == 256 {
            return;
        }
        let length = match symbol - 257 {
            at @ 0..8 => at + 3,
            28 => 258,
            at => {
                let extra = at / 4 - 1;
                ((4 + at % 4) << extra) + 3 + bits.take(extra)
            }
        };
        let distance = match distances.read(bits) {
            at @ 0..2 => at + 1,
            at => {
                let extra = at / 2 - 1;
                ((2 + at % 2) << extra) + 1 + bits.take(extra)
            }
        };
        assert!(distance <= window, "{distance} bytes back, where {window} were agreed on");
        for _ in 0..length {
            out.push(out[out.len() - distance]);
        }
    }
}
