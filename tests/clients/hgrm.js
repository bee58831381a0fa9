// SPDX-License-Identifier: Apache-2.0
// What hgrm.c prints, by hdr-histogram-js.
//
//   node hgrm.js NODE_MODULES <NUMBERS
const hdr = require(process.argv[2] + "/hdr-histogram-js");
const histogram = hdr.build({
	lowestDiscernibleValue: 1,
	highestTrackableValue: 2 ** 42 - 1,
	numberOfSignificantValueDigits: 3,
	bitBucketSize: 64,
	useWebAssembly: false,
});

for (const word of require("fs").readFileSync(0, "utf8").split(/\s+/).filter(Boolean)) histogram.recordValue(Number(word));
process.stdout.write(histogram.outputPercentileDistribution(5, 1));
process.stdout.write(histogram.outputPercentileDistribution(5, 1000));
for (const percent of [0, 12.5, 50, 90, 99, 99.9, 99.95, 99.99, 99.999, 100])
	console.log(`${percent} ${histogram.getValueAtPercentile(percent)}`);
