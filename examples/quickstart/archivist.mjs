/** A lazy agent: sorts things for as long as it is awake. */
let sorted = 0;
console.log('archivist: awake');
setInterval(() => {
  sorted += 1;
  if (sorted % 10 === 0) console.log(`archivist: ${sorted} things sorted`);
}, 1_000);
process.on('SIGTERM', () => {
  console.log('archivist: going to sleep');
  process.exit(0);
});
