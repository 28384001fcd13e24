// Checks an OpenAPI document with @apidevtools/swagger-parser: `node validate.cjs FILE`.

const parser = require("@apidevtools/swagger-parser");

const [file] = process.argv.slice(2);

parser.validate(file).then(
  () => console.log(`${file}: valid`),
  (error) => {
    console.error(`${file}: ${error.message}`);
    process.exitCode = 1;
  },
);
