/**
 * The traded comets and their channels, shared by the exchange and its readers.
 */

/** All prices: `/demo/price/{symbol}`. */
export const PRICES = '/demo/price/*';
/** The channel on which the exchange reports once a second that it is open. */
export const BEAT = '/demo/exchange';

/** @param {string} symbol */
export function channelOf(symbol) { return `/demo/price/${symbol}`; }

/** Symbol, name, first price. @type {[string, string, number][]} */
export const COMETS = [
  ['BIEL', 'Biela Glassworks', 18.46],
  ['BORR', 'Borrelly Freight', 67.2],
  ['ENCK', 'Encke Telegraph', 330.5],
  ['FAYE', 'Faye & Sons', 74.9],
  ['HALL', 'Halley Lines', 1986.1],
  ['HYAK', 'Hyakutake Optics', 199.6],
  ['KOHO', 'Kohoutek Holding', 19.73],
  ['NEOW', 'Neowise Imaging', 202.0],
  ['OLBR', 'Olbers Instruments', 69.5],
  ['SWFT', 'Swift–Tuttle Steel', 133.3],
  ['TEMP', 'Tempel Mining', 33.17],
  ['WEST', 'West Airways', 197.6],
];
