/** An agent that crashes now and then, so that there is something to heal. */
const meanLifeSeconds = Number(process.env.MEAN_LIFE_SECONDS ?? 90);
console.log(`gambler: at the table; on average I last ${meanLifeSeconds} s`);
setInterval(() => {
  if (Math.random() < 1 / meanLifeSeconds) {
    console.error('gambler: lost everything');
    process.exit(1);
  }
}, 1_000);
