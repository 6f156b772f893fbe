# What one would write instead: the cloud part of the tenants of one database team. The droplets are configured by
# playbook.yaml. One state a team, as ours has one stack a team.
terraform {
  required_version = ">= 1.5"
  required_providers {
    digitalocean = {
      source  = "digitalocean/digitalocean"
      version = "~> 2.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.0"
    }
  }
}

variable "tenants_file" {
  type = string
}
variable "team" {
  description = "The database team whose tenants these are."
  type        = string
}
variable "api_url" {
  type = string
}
variable "droplet_token" {
  type      = string
  sensitive = true
}
variable "database_token" {
  type      = string
  sensitive = true
}
variable "requests_per_second" {
  description = "For each token."
  type        = number
}
variable "database_version" {
  type = string
}
variable "domain" {
  type = string
}

provider "digitalocean" {
  alias               = "droplets"
  token               = var.droplet_token
  api_endpoint        = var.api_url
  requests_per_second = var.requests_per_second
}
provider "digitalocean" {
  alias               = "databases"
  token               = var.database_token
  api_endpoint        = var.api_url
  requests_per_second = var.requests_per_second
}

locals {
  fleet   = yamldecode(file(var.tenants_file))
  tenants = { for key, tenant in local.fleet : key => tenant if tenant.database_team == var.team }
}

data "digitalocean_ssh_keys" "all" {
  provider = digitalocean.droplets
}
data "digitalocean_project" "meltano" {
  provider = digitalocean.droplets
  name     = "Meltano"
}
data "digitalocean_droplet_snapshot" "meltano" {
  provider    = digitalocean.droplets
  name_regex  = "^Ubuntu meltano-\\d+$"
  region      = "nyc3"
  most_recent = true
}

resource "digitalocean_droplet" "tenant" {
  for_each = local.tenants
  provider = digitalocean.droplets
  name     = "${each.key}.${var.domain}"
  image    = data.digitalocean_droplet_snapshot.meltano.id
  size     = "s-2vcpu-2gb"
  region   = "nyc3"
  ssh_keys = [for key in data.digitalocean_ssh_keys.all.ssh_keys : key.id]
  tags     = ["production"]
  lifecycle {
    ignore_changes = [image, ssh_keys]
  }
}

resource "digitalocean_project_resources" "tenant" {
  for_each  = local.tenants
  provider  = digitalocean.droplets
  project   = data.digitalocean_project.meltano.id
  resources = [digitalocean_droplet.tenant[each.key].urn]
}

resource "digitalocean_record" "tenant" {
  for_each = local.tenants
  provider = digitalocean.droplets
  domain   = var.domain
  type     = "A"
  name     = each.key
  value    = digitalocean_droplet.tenant[each.key].ipv4_address
  ttl      = 3600
}

resource "random_integer" "cluster" {
  for_each = local.tenants
  min      = 10000
  max      = 99999
}

resource "digitalocean_database_cluster" "tenant" {
  for_each   = local.tenants
  provider   = digitalocean.databases
  name       = "db-postgresql-nyc3-${random_integer.cluster[each.key].result}-${each.key}"
  engine     = "pg"
  version    = var.database_version
  size       = "db-s-1vcpu-1gb"
  region     = "nyc3"
  node_count = 1
  tags       = ["production"]
  lifecycle {
    ignore_changes = [version, project_id, private_network_uuid]
  }
}

resource "digitalocean_database_firewall" "tenant" {
  for_each   = local.tenants
  provider   = digitalocean.databases
  cluster_id = digitalocean_database_cluster.tenant[each.key].id
  rule {
    type  = "ip_addr"
    value = digitalocean_droplet.tenant[each.key].ipv4_address
  }
}

resource "random_password" "admin" {
  for_each = local.tenants
  length   = 32
  special  = false
}
resource "random_password" "secret_key" {
  for_each = local.tenants
  length   = 64
  special  = false
}
resource "random_password" "password_salt" {
  for_each = local.tenants
  length   = 64
  special  = false
}

output "hosts" {
  description = "The variables of each tenant's host, for Ansible."
  sensitive   = true
  value = {
    for key, tenant in local.tenants : key => {
      ansible_host   = digitalocean_droplet.tenant[key].ipv4_address
      host_name      = "${key}.${var.domain}"
      tls            = lookup(tenant, "tls", "wildcard")
      admin_password = random_password.admin[key].result
      secret_key     = random_password.secret_key[key].result
      password_salt  = random_password.password_salt[key].result
      database = {
        host     = digitalocean_database_cluster.tenant[key].host
        port     = digitalocean_database_cluster.tenant[key].port
        name     = digitalocean_database_cluster.tenant[key].database
        user     = digitalocean_database_cluster.tenant[key].user
        password = digitalocean_database_cluster.tenant[key].password
      }
    }
  }
}
