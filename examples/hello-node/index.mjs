// Greets whoever the event names.
export const handler = async (event, context) => {
  console.log('greeting %s', event.name ?? 'nobody');
  return {
    message: `Hello, ${event.name ?? 'world'}!`,
    function: context.functionName,
    remainingMs: context.getRemainingTimeInMillis(),
  };
};
