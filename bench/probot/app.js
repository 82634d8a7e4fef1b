// A Probot that stores nothing.
export default (app) => {
  app.on(["push", "pull_request"], async () => {});
};
