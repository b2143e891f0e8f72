const list = (words: string) => words.split(/\s+/).filter((word) => word !== '');

/** First names, common in English. A generator takes those that are one token with a space before. */
export const NAMES = list(`
  Adam Aaron Alan Albert Alex Alice Amanda Amy Andrea Andrew Angela Ann Anna Anne Anthony Arthur Barbara Ben Beth Bill Bob
  Brian Bruce Carl Carol Charles Chris Christian Christine Clara Claire Dan Daniel David Diana Donald Dorothy Edward Elena
  Elizabeth Ella Emily Emma Eric Frank Fred Gary George Grace Greg Hannah Harry Helen Henry Howard Ian Jack Jacob James
  Jane Jason Jean Jeff Jennifer Jessica Jim Joan Joe John Jonathan Joseph Joshua Julia Julie Karen Kate Katie Keith Kelly
  Ken Kevin Kim Larry Laura Lawrence Lewis Linda Lisa Louis Lucy Luke Margaret Maria Mark Martha Martin Mary Matthew
  Michael Mike Nancy Neil Nick Nicole Oliver Oscar Patrick Paul Peter Philip Rachel Rebecca Richard Robert Roger Ron Rose
  Roy Ruth Ryan Sam Samuel Sarah Scott Sean Simon Sophie Stephen Steve Steven Stuart Susan Taylor Thomas Tim Tom Tony
  Victor Victoria Walter Wayne William`);

export const PLACES = list(`
  bank beach church garden hospital house kitchen library market museum office park restaurant school shop station store`);

export const OBJECTS = list(`
  bag ball book bottle box cake card coat computer cup drink flower gift hat key letter map necklace pen phone picture ring
  ticket watch`);

/** Things that last for years: of the greater-than task. */
export const EVENTS = list(`
  alliance battle campaign case conflict contract crisis debate dispute drought expansion expedition experiment feud
  festival journey marriage mission occupation partnership peace plan program project rebellion reign revolution siege
  study tour trade trial tradition truce voyage war work`);
