"""When does switching from MSE to Huber help, and how: seven ways against single losses, by noise and size."""
